"""Damaged images of every format: a status or a picture, never another error, never a hang.

`ADJUDICATE_TEST_MALFORMED=10000` runs the long version of the malformed set (500 by default).
"""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images import Limits, views
from stream.decode.pool import DecodePool
from tests.malformed import COUNT, image, seeds

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")

SIZE = 64
LIMITS = Limits(max_pixels=4_000_000, max_total_pixels=8_000_000, max_frames=100)
REFUSALS = {Status.DECODE_FAILED, Status.DECODE_UNSUPPORTED, Status.TOO_LARGE}
LONGEST_S = 60.0


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
    for number in range(COUNT):
        data = image(number)
        try:
            assert_status_or_picture(data)
        except Exception as error:
            raise AssertionError(f"malformed image {number}") from error


@pytest.mark.timeout(3600)
def test_malformed_images_kill_no_worker() -> None:
    with DecodePool(2, SIZE, LIMITS, timeout_s=LONGEST_S) as pool:
        futures = [pool.submit(image(-number)) for number in range(1, COUNT + 1)]
        errors = [future.exception(600) for future in futures]
    statuses = [error.status for error in errors if isinstance(error, ImageError)]
    assert len(statuses) == sum(error is not None for error in errors)
    assert set(statuses) <= REFUSALS
    assert 0 < len(statuses) < COUNT


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
