"""The protocol between the decode pool and its worker processes, over a socket pair.

Plain structs and JSON, never pickle: a decoder that was taken over by an image can then send nothing worse
than a wrong picture.

    request  = count u32, count x length u64, then the images' bytes
    reply    = JSON length u32, pixel length u32, JSON, pixels; one per image, in order
"""

import json
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
from pydantic import ValidationError

from moderation.errors import ImageError
from moderation.events import ImageFacts, Status
from moderation.images import Limits, Views

READY: Final = b"R"
_COUNT: Final = struct.Struct("<I")
_REPLY: Final = struct.Struct("<II")
_MAX_JSON: Final = 64 * 1024
_LAST_CHANCE_S: Final = 0.05


class Gone(Exception):
    """The other side closed, died, or sent an invalid message."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker is started with, as JSON in its arguments."""

    decoder: str
    size: int
    limits: Limits
    memory_bytes: int
    parent: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields = json.loads(text)
        return cls(**{**fields, "limits": Limits(**fields["limits"])})


def send_request(peer: socket.socket, images: Sequence[bytes], timeout_s: float) -> None:
    """Raises Gone, or TimeoutError where the worker does not read."""
    peer.settimeout(timeout_s)
    head = _COUNT.pack(len(images)) + struct.pack(f"<{len(images)}Q", *map(len, images))
    try:
        peer.sendall(head)
        for image in images:
            peer.sendall(image)
    except TimeoutError:
        raise
    except OSError as error:
        raise Gone from error


def receive_request(peer: socket.socket) -> list[bytes]:
    """Raises Gone at the end of the conversation."""
    (count,) = _COUNT.unpack(_receive(peer, _COUNT.size))
    lengths = struct.unpack(f"<{count}Q", _receive(peer, 8 * count))
    return [bytes(_receive(peer, length)) for length in lengths]


def send_reply(peer: socket.socket, outcome: Views | ImageError) -> None:
    if isinstance(outcome, ImageError):
        body: dict[str, Any] = {"status": outcome.status.value, "detail": outcome.detail}
        pixels = memoryview(b"")
    else:
        body = {"facts": outcome.facts.model_dump(), "hash": outcome.perceptual_hash}
        pixels = outcome.pixels.data.cast("B")
    text = json.dumps(body).encode()
    peer.sendall(_REPLY.pack(len(text), len(pixels)) + text)
    peer.sendall(pixels)


def receive_reply(peer: socket.socket, config: WorkerConfig, timeout_s: float) -> Views | ImageError:
    """One image's outcome. Raises Gone, or TimeoutError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    text_length, pixel_length = _REPLY.unpack(_receive(peer, _REPLY.size, deadline))
    view_bytes = config.size * config.size * 3
    if text_length > _MAX_JSON or pixel_length > config.limits.max_views * view_bytes:
        raise Gone("a reply larger than any image's")
    text = _receive(peer, text_length, deadline)
    pixels = np.frombuffer(_receive(peer, pixel_length, deadline), np.uint8)
    try:
        body = json.loads(text)
        if "status" in body:
            return ImageError(Status(body["status"]), str(body["detail"]))
        shaped = pixels.reshape(-1, config.size, config.size, 3)
        return Views(shaped, ImageFacts.model_validate(body["facts"]), str(body["hash"]))
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        raise Gone("a reply that is none") from error


def receive_ready(peer: socket.socket, timeout_s: float) -> None:
    """Raises Gone or TimeoutError where the worker does not come up."""
    if bytes(_receive(peer, 1, time.monotonic() + timeout_s)) != READY:
        raise Gone("not a decode worker")


def _receive(peer: socket.socket, size: int, deadline: float | None = None) -> bytearray:
    """Exactly `size` bytes. Bytes that have arrived are read even after the deadline, because
    this process itself may have been stopped meanwhile."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        if deadline is not None:
            peer.settimeout(max(_LAST_CHANCE_S, deadline - time.monotonic()))
        try:
            received = peer.recv_into(view)
        except TimeoutError:
            raise
        except OSError as error:
            raise Gone from error
        if not received:
            raise Gone
        view = view[received:]
    return buffer
