"""Decoders for tests of the pool: they do what the image's first bytes say, inside the worker process."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from moderation.errors import ImageError
from moderation.events import ImageFacts, Status
from moderation.images import Limits, Views

SECRET_NAMES = ("ADJUDICATE_KAFKA__SASL_PASSWORD", "HOME")


def views(data: bytes, size: int, limits: Limits) -> Views:
    """`kill`, `exit`, `abort`, `hang`, `eat`, `raise`, `lie`, `refuse:…`, `spy`, `write:PATH`; else a picture."""
    word, _, argument = data.decode("latin-1").partition(":")
    if word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "exit":
        os._exit(3)
    if word == "abort":
        os.abort()
    if word == "hang":
        time.sleep(3600)
    if word == "slow":
        time.sleep(float(argument.partition(":")[0]))
    if word == "eat":
        return views(b"x" * (8 << 30), size, limits)
    if word == "raise":
        raise LookupError("a decoder's bug")
    if word == "lie":
        return Views(np.zeros((1, 3, 3, 3), np.uint8), ImageFacts(format="PNG", width=1, height=1), "00")
    if word == "refuse":
        raise ImageError(Status.DECODE_FAILED, argument)
    if word == "spy":
        raise ImageError(Status.DECODE_FAILED, " ".join(n for n in SECRET_NAMES if n in os.environ) or "nothing")
    if word == "write":
        Path(argument).write_bytes(b"x" * 4096)
    if word == "once":
        _die_the_first_time(Path(argument))
    return _picture(data, size)


def _die_the_first_time(marker: Path) -> None:
    try:
        marker.rmdir()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _picture(data: bytes, size: int) -> Views:
    pixels = np.full((1, size, size, 3), sum(data) % 256, np.uint8)
    return Views(pixels, ImageFacts(format="PNG", width=size, height=size), data.hex()[:64])
