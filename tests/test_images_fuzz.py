"""Damaged images of every format: a status or a picture, never another error, never a hang.

`ADJUDICATE_MALFORMED=10000` runs the long version of the malformed set (500 by default).
"""

import os
import random
import time
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images import Limits, views
from stream.decode.pool import DecodePool
from tests.drawn import FORMATS, animation, encoded, exif, picture

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")

SIZE = 64
LIMITS = Limits(max_pixels=4_000_000, max_total_pixels=8_000_000, max_frames=100)
REFUSALS = {Status.DECODE_FAILED, Status.DECODE_UNSUPPORTED, Status.TOO_LARGE}
LONGEST_S = 60.0


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
    )


def damaged(rng: random.Random) -> bytes:
    """One seed with bytes flipped, cut, repeated, inserted, or two seeds spliced."""
    data = bytearray(rng.choice(seeds()))
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
                other = rng.choice(seeds())
                data[at:] = other[min(at, len(other) - 1) :]
        if not data:
            return b""
    return bytes(data)


def assert_status_or_picture(data: bytes) -> None:
    began = time.monotonic()
    try:
        found = views(data, SIZE, LIMITS)
    except ImageError as error:
        assert error.status in REFUSALS
        assert error.detail.isprintable()
    else:
        assert found.pixels.shape[1:] == (SIZE, SIZE, 3)
        assert 1 <= len(found.pixels) <= LIMITS.max_views
        assert found.facts.width * found.facts.height <= LIMITS.max_pixels
    assert time.monotonic() - began < LONGEST_S


@pytest.mark.timeout(3600)
def test_malformed_images_in_process() -> None:
    for number in range(int(os.environ.get("ADJUDICATE_MALFORMED", "500"))):
        data = damaged(random.Random(number))
        try:
            assert_status_or_picture(data)
        except Exception as error:
            raise AssertionError(f"malformed image {number}") from error


@pytest.mark.timeout(3600)
def test_malformed_images_kill_no_worker() -> None:
    count = int(os.environ.get("ADJUDICATE_MALFORMED", "500"))
    with DecodePool(2, SIZE, LIMITS, timeout_s=LONGEST_S) as pool:
        futures = [pool.submit(damaged(random.Random(-number))) for number in range(1, count + 1)]
        errors = [future.exception(600) for future in futures]
    statuses = [error.status for error in errors if isinstance(error, ImageError)]
    assert len(statuses) == sum(error is not None for error in errors)
    assert set(statuses) <= REFUSALS
    assert 0 < len(statuses) < count


@settings(max_examples=200)
@given(st.binary(max_size=400), st.sampled_from(range(18)), st.integers(0, 40))
def test_any_bytes_after_any_beginning(tail: bytes, seed: int, kept: int) -> None:
    assert_status_or_picture(seeds()[seed][:kept] + tail)


@settings(max_examples=200)
@given(st.data())
def test_valid_files_with_some_bytes_replaced(data: st.DataObject) -> None:
    file = bytearray(data.draw(st.sampled_from(seeds())))
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    assert_status_or_picture(bytes(file))
