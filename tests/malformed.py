"""Damaged images and damaged events, each told by a number: the same number is the same damage, anywhere."""

import base64
import json
import os
import random
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from PIL import Image

from stream.kafka import Output
from stream.parse import EVENT_HEADER
from tests.drawn import FORMATS, animation, encoded, exif, picture

COUNT: Final = int(os.environ.get("ADJUDICATE_TEST_MALFORMED", "500"))
"""Of each kind; `ADJUDICATE_TEST_MALFORMED=10000` runs the long version."""

Damage = Callable[[random.Random, dict[str, Any]], object]


@cache
def seeds() -> tuple[bytes, ...]:
    """Valid files of every format and of the unusual modes."""
    drawn = Image.fromarray(picture(60, 40))
    frames = [Image.fromarray(picture(24, 20, seed)) for seed in range(4)]
    wide = Image.fromarray(picture(300, 20))
    return (
        *(encoded(drawn, kind) for kind in FORMATS),
        *(animation(frames, kind) for kind in FORMATS if kind != "JPEG"),
        encoded(drawn, "JPEG", progressive=True),
        encoded(drawn.convert("CMYK"), "JPEG"),
        encoded(drawn.convert("L"), "JPEG"),
        encoded(wide, "JPEG", exif=exif(6)),
        encoded(drawn.convert("P"), "PNG", transparency=3),
        encoded(drawn.convert("RGBA"), "PNG"),
        encoded(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27), "PNG"),
        encoded(drawn.convert("LA"), "PNG"),
        encoded(drawn.convert("RGBA"), "WEBP", lossless=True),
        encoded(drawn, "BMP"),
        encoded(drawn.convert("P"), "BMP"),
    )


def image(number: int) -> bytes:
    return damaged(random.Random(number), seeds())


def damaged(rng: random.Random, files: tuple[bytes, ...]) -> bytes:
    """One of the files with bytes flipped, cut, repeated, inserted, or two of them spliced."""
    data = bytearray(rng.choice(files))
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(data))
        match rng.randrange(6):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
            case 2:
                del data[at : at + rng.randrange(1, 64)]
            case 3:
                data[at:at] = data[at : at + rng.randrange(1, 256)]
            case 4:
                data[at : at + 4] = rng.randbytes(4)
            case _:
                other = rng.choice(files)
                data[at:] = other[min(at, len(other) - 1) :]
        if not data:
            return b""
    return bytes(data)


def event(number: int, topic: str, event_id: str) -> Output:
    """A record whose event is damaged: as bytes, in its structure, or in one value. A few stay valid."""
    rng = random.Random(number)
    content: dict[str, Any] = {
        "schema_version": 1, "event_id": event_id, "surface": "creative", "clients": ["acme"],
        "image": {"base64": base64.b64encode(seeds()[1]).decode()},
        "context": {"crid": "c1", "adomain": ["shop.example"], "country": "NO", "cat": ["483"], "page_url": "https://a/"},
    }  # fmt: skip
    raw = rng.random() < 0.3
    if raw:
        del content["image"]
    if rng.random() < 0.5:
        rng.choice(_DAMAGES)(rng, content)
        text = json.dumps(content, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    else:
        text = damaged(rng, (json.dumps(content).encode(),))
    if raw:
        return Output(topic, b"malformed", seeds()[1], {EVENT_HEADER: text})
    return Output(topic, b"malformed", text)


def _without(rng: random.Random, content: dict[str, Any]) -> None:
    del content[rng.choice(list(content))]


def _of_another_type(rng: random.Random, content: dict[str, Any]) -> None:
    content[rng.choice(list(content))] = rng.choice(_VALUES)


def _deep_inside(rng: random.Random, content: dict[str, Any]) -> None:
    content["context"][rng.choice(list(content["context"]))] = rng.choice(_VALUES)


def _nested(rng: random.Random, content: dict[str, Any]) -> None:
    value: Any = rng.choice(_VALUES)
    for _ in range(rng.choice((5, 100, 900))):
        value = [value] if rng.random() < 0.5 else {"context": value}
    content[rng.choice([*content, "unknown"])] = value


def _too_many(rng: random.Random, content: dict[str, Any]) -> None:
    content["clients"] = [f"client-{n}" for n in range(rng.choice((999, 1001, 5000)))]


def _wrong_image(rng: random.Random, content: dict[str, Any]) -> None:
    content["image"] = rng.choice(
        ({"base64": "***"}, {"base64": ""}, {}, {"url": ""}, {"file": "../../etc/passwd"}, {"url": "x", "file": "y"})
    )


def _emptied(rng: random.Random, content: dict[str, Any]) -> None:
    content[rng.choice(list(content))] = rng.choice(("", [], {}, None))


_VALUES: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 2**31, 2**63, 2**64, 10**400, 1e308, float("inf"), float("nan"), "", " ", "\0", "\ud800",
    "\u202e\u200b", "🜁" * 300, "x" * 5000, "x" * 300_000, [], {}, [[]], [None] * 300, {"a": {}}, ["a"] * 1001,
    "2026-13-45T99:00:00Z", "0001-01-01T00:00:00+23:59", "NaN", "1e999999999",
)  # fmt: skip
_DAMAGES: Final[tuple[Damage, ...]] = (
    _without, _of_another_type, _of_another_type, _deep_inside, _deep_inside, _nested, _too_many, _wrong_image,
    _emptied,
)  # fmt: skip
