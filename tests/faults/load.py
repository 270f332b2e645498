"""Mixed events at a steady rate: mostly good images, a few of every kind of trouble."""

import base64
import io
import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from PIL import Image

from stream.kafka import Output, produce_all
from stream.parse import EVENT_HEADER
from stream.settings import Settings

CLIENTS: Final = ("acme", "bolt", "cozy")
_IMAGES: Final = 200
_TROUBLE_EVERY: Final = 15


def picture(colour: tuple[int, int, int], kind: str = "PNG", size: tuple[int, int] = (48, 32)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def _bomb() -> bytes:
    """A header that promises 60,000 x 60,000 pixels."""
    good = bytearray(picture((1, 2, 3)))
    good[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(good)


def _noise() -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(7).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


BAD_IMAGES: Final = (
    picture((9, 9, 9))[:-20],
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"%!PS-Adobe-3.0 EPSF-3.0\n",
    b"not an image",
    b"",
    _bomb(),
    _noise()[:200],
)
_LONG: Final = ["y" * 4000] * 90
BAD_VALUES: Final[tuple[bytes | None, ...]] = (
    None,
    b"",
    b"{",
    b"[]",
    b"\xff\xfe\x00",
    json.dumps({"event_id": "no-surface"}).encode(),
    json.dumps({"event_id": "v9", "surface": "page", "schema_version": 9}).encode(),
    json.dumps({"event_id": "b64", "surface": "page", "image": {"base64": "***"}}).encode(),
    json.dumps({"event_id": "big", "surface": "page", "image": {"url": "x"}, "context": {"cat": _LONG}}).encode(),
)


class Events:
    """An endless mix, the same for the same seed. `prefix` keeps event ids apart between runs.

    fresh: share of the good images that no event had before, so that the model is asked.
    """

    def __init__(self, settings: Settings, prefix: str, seed: int = 1, fresh: float = 0.0) -> None:
        self._topics = (settings.topics.creatives, settings.topics.pages)
        self._prefix = prefix
        self._fresh = fresh
        self.current = ""
        self._random = random.Random(seed)
        self._colours = [tuple(self._random.choices(range(256), k=3)) for _ in range(_IMAGES)]
        self._pictures = [picture(c, self._random.choice(["PNG", "BMP", "WEBP"][::2])) for c in self._colours]  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Output]:
        number = 0
        while True:
            number += 1
            output = self._trouble(number) if number % _TROUBLE_EVERY == 0 else self._good(number)
            yield output
            if self._random.random() < 0.01:
                yield output

    def _good(self, number: int, **fields: Any) -> Output:
        colour, image = self._image()
        page = "https://reader:pass@news.example/story?uid=uid-4711#top"
        context = {"campaign": f"{colour}", "page_url": page}
        return self._event(number, image, context=context, **fields)

    def _image(self) -> tuple[tuple[int, ...], bytes]:
        if self._fresh and self._random.random() < self._fresh:
            red, green, blue = self._random.choices(range(256), k=3)
            return (red, green, blue), picture((red, green, blue))
        index = self._random.randrange(_IMAGES)
        return self._colours[index], self._pictures[index]

    def _trouble(self, number: int) -> Output:
        topic = self._random.choice(self._topics)
        match number // _TROUBLE_EVERY % 4:
            case 0:
                return Output(topic, _key(number), self._random.choice(BAD_VALUES))  # type: ignore[arg-type]
            case 1:
                return self._event(number, self._random.choice(BAD_IMAGES[:-2]))
            case 2:
                url = {"image": {"url": "http://169.254.169.254/?token=secret"}}
                return Output(topic, _key(number), json.dumps(self._fields(number) | url).encode())
            case _:
                return self._good(number, clients=["acme", "nobody-knows"])

    def _event(self, number: int, image: bytes, **fields: Any) -> Output:
        topic = self._random.choice(self._topics)
        event = self._fields(number) | fields
        if self._random.random() < 0.5:
            return Output(topic, _key(number), image, {EVENT_HEADER: json.dumps(event).encode()})
        inline = {"image": {"base64": base64.b64encode(image).decode()}}
        return Output(topic, _key(number), json.dumps(event | inline).encode())

    def _fields(self, number: int) -> dict[str, Any]:
        self.current = f"{self._prefix}{number}"
        named = [[], [], ["acme"], ["bolt", "cozy"]][number % 4]
        private = {"user": {"id": "uid-4711"}, "device": {"ip": "203.0.113.9"}}
        return {"event_id": self.current, "surface": ("creative", "page")[number % 2], "clients": named} | private


def _key(number: int) -> bytes:
    """Spread over all partitions: a worker without records would not notice what is done to it."""
    return str(number).encode()


class Load:
    """Sends events from a thread of its own until stopped."""

    def __init__(self, settings: Settings, prefix: str, per_s: float, seed: int = 1, fresh: float = 0.0) -> None:
        self._settings = settings
        self._events = Events(settings, prefix, seed, fresh)
        self._per_s = per_s
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._send, name="load", daemon=True)
        self.sent = 0
        self.sent_at: dict[str, float] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> int:
        """Stop, and wait until the brokers have everything. Returns how many records were sent."""
        self._stopping.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self.sent

    def _send(self) -> None:
        try:
            produce_all(self._settings.kafka, self._paced())
        except Exception as error:  # noqa: BLE001 - handed to whoever stops the load
            self._failure = error

    def _paced(self) -> Iterator[Output]:
        start = time.monotonic()
        for output in self._events:
            if self._stopping.is_set():
                return
            time.sleep(max(0.0, start + self.sent / self._per_s - time.monotonic()))
            self.sent += 1
            self.sent_at[self._events.current] = time.monotonic()
            yield output
