"""Files that are odd in structure and sound in their pixels: the frames that a browser shows, no more, no fewer."""

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images import Limits, views
from moderation.images.reduce import FULL_PIXELS, factors
from stream.decode.pool import DecodePool
from tests.drawn import encoded, flat, picture, png_chunk
from tests.images import jpeg_cases, png_cases, profiles
from tests.images.case import RGB, RGB_IMAGE, SIDE
from tests.images.other_cases import BGR, GIF_ENDS, PALETTE, animated_gif, bmp, run_lengths


def seen(data: bytes) -> bytes:
    return views(data, SIDE).pixels.tobytes()


def refused(data: bytes) -> Status:
    with pytest.raises(ImageError) as error:
        views(data, SIDE)
    return error.value.status


@pytest.mark.parametrize("end", GIF_ENDS.values(), ids=GIF_ENDS.keys())
def test_nothing_behind_the_last_frame_of_a_gif_counts(end: bytes) -> None:
    data = animated_gif()
    assert seen(data[:-1] + end) == seen(data)
    assert views(data[:-1] + end, SIDE).facts.frames == 3


@pytest.mark.parametrize("filler", [b"\0\0", b"text", b";", b"\1\2\3"])
def test_a_gif_ends_at_the_first_byte_that_begins_no_block(filler: bytes) -> None:
    """So do browsers: frames behind it are never shown."""
    data = animated_gif()
    first = data.index(b"\x21\xf9", data.index(b"\x21\xf9") + 2)
    assert views(data[:first] + filler + data[first:], SIDE).facts.frames == 1


@pytest.mark.parametrize("cut", [3, 20, 500])
def test_a_gif_that_lacks_pixels_is_refused(cut: int) -> None:
    assert refused(animated_gif()[:-cut]) is Status.DECODE_FAILED


@pytest.mark.parametrize("begun", [b"\x2c\0\0", b"\x2c\0\0\0\0\1\0\1\0\0"])
def test_a_frame_that_a_gif_only_begins_is_refused(begun: bytes) -> None:
    assert refused(animated_gif()[:-1] + begun) is Status.DECODE_FAILED


@pytest.mark.parametrize("name", png_cases.animations())
def test_an_apng_has_the_frames_that_a_browser_shows(name: str) -> None:
    data, frames = png_cases.animations()[name]
    found = views(data, SIDE)
    assert found.facts.frames == frames
    assert np.array_equal(found.pixels[0], RGB)


@pytest.mark.parametrize("first", [1, 7])
def test_an_apng_whose_numbers_begin_wrong_is_its_still(first: int) -> None:
    chunks = png_cases.animated_chunks()
    at = next(i for i, (kind, _) in enumerate(chunks) if kind == b"fcTL")
    chunks[at] = (b"fcTL", struct.pack(">I", first) + chunks[at][1][4:])
    assert seen(png_cases.assembled(chunks)) == RGB.tobytes()


ANCILLARY = {
    "profile": png_cases.iccp(profiles.KINDS["swapped"]),
    "gAMA": png_cases.gama(1),
    "cHRM": png_cases.chrm(*png_cases.BT2020),
    "text": png_chunk(b"tEXt", b"a\0" + bytes(90_000)),
    "time": png_chunk(b"tIME", bytes(7)),
    "level": png_cases.light_level(400),
    "broken": png_cases.damaged(png_cases.cicp(9, 16)),
    "unknown": png_chunk(b"abCd", b"x"),
}


@settings(max_examples=60)
@given(st.permutations(list(ANCILLARY)))
def test_any_order_of_chunks_is_one_picture(order: list[str]) -> None:
    assert seen(png_cases.rgb(b"".join(ANCILLARY[name] for name in order))) == seen(
        png_cases.rgb(b"".join(ANCILLARY.values()))
    )


@settings(max_examples=40)
@given(st.permutations(range(5)), st.integers(0, 5))
def test_any_order_of_profile_segments_is_one_picture(order: list[int], others: int) -> None:
    parts = jpeg_cases.parts(profiles.KINDS["swapped"], 5)
    shuffled = [parts[i] for i in order]
    shuffled.insert(others, jpeg_cases.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0"))
    expected = seen(jpeg_cases.inserted(jpeg_cases.BASE, *parts))
    assert seen(jpeg_cases.inserted(jpeg_cases.BASE, *shuffled)) == expected
    assert expected != seen(jpeg_cases.BASE)


@settings(max_examples=20)
@given(st.integers(0, 3_000_000), st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"prVt"]))
def test_the_size_of_metadata_changes_no_pixel(size: int, kind: bytes) -> None:
    assert seen(png_cases.rgb(png_chunk(kind, b"a" * size))) == RGB.tobytes()


@pytest.mark.parametrize("size", [1_000, 1_200_000, 5_000_000])
def test_the_size_of_a_profile_changes_no_pixel(size: int) -> None:
    large = profiles.matrix(profiles.SWAPPED, 2.2, extra={b"zzzz": b"data" + bytes(size)})
    expected = seen(png_cases.rgb(png_cases.iccp(profiles.KINDS["swapped"])))
    assert seen(png_cases.rgb(png_cases.iccp(large))) == expected
    assert seen(encoded(RGB_IMAGE, "WEBP", lossless=True, icc_profile=large)) == expected


def test_a_profile_bomb_is_ignored_as_browsers_do() -> None:
    bomb = profiles.matrix(profiles.SWAPPED, 2.2, extra={b"zzzz": b"data" + bytes(65 * 1024 * 1024)})
    assert seen(png_cases.rgb(png_cases.iccp(bomb))) == RGB.tobytes()


def test_a_profile_with_absurd_tables_is_too_large() -> None:
    bomb = profiles.profile(b"RGB ", {b"A2B0": b"mft1" + bytes(9 * 1024 * 1024)}, connection=b"Lab ")
    assert refused(png_cases.rgb(png_cases.iccp(bomb))) is Status.TOO_LARGE


def test_code_points_that_cannot_be_honoured_are_refused() -> None:
    odd = profiles.matrix(profiles.SRGB, 2.2, extra=profiles.code_points(2, 16))
    assert refused(png_cases.rgb(png_cases.iccp(odd))) is Status.DECODE_FAILED


@pytest.mark.parametrize(
    "data",
    [
        bmp(24, BGR)[:-1],
        bmp(8, run_lengths(np.zeros((40, 64), np.uint8), b""), 1, more=PALETTE + bytes(224)),
        bmp(24, BGR)[:30],
        bmp(24, BGR)[:10] + struct.pack("<I", 20) + bmp(24, BGR)[14:],
        bmp(24, BGR)[:10] + struct.pack("<I", 10**6) + bmp(24, BGR)[14:],
        bmp(5, BGR),
        bmp(24, BGR, 7),
        b"BM" + bytes(100),
        b"BMW for sale, 20% off",
    ],
    ids=["cut", "run lengths cut", "header cut", "pixels in the header", "pixels outside", "5 bits", "compression 7",
         "zeros", "text"],
)  # fmt: skip
def test_a_bmp_that_is_not_whole_is_refused(data: bytes) -> None:
    assert refused(data) is Status.DECODE_FAILED


def test_a_bmp_bomb_is_refused_from_its_header() -> None:
    data = bytearray(bmp(8, b"\0\1", 1, more=PALETTE + bytes(224)))
    data[18:26] = struct.pack("<ii", 30_000, 30_000)
    assert refused(bytes(data)) is Status.TOO_LARGE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
def test_the_capture_of_a_whole_page_is_accepted(kind: str) -> None:
    """1920 x 14000 is 27 megapixels: reduced first, and the same picture as its small copy."""
    drawn = Image.fromarray(picture(192, 1400)).resize((1920, 14_000), Image.Resampling.BILINEAR)
    options = {"WEBP": {"method": 0}, "AVIF": {"speed": 10}, "PNG": {"compress_level": 1}}.get(kind, {})
    found = views(encoded(drawn, kind, **options), limits=Limits(max_bytes=32 * 1024 * 1024))
    assert (found.facts.width, found.facts.height) == (1920, 14_000)
    small = np.asarray(drawn.resize((224, 224), Image.Resampling.BOX)).astype(int)
    assert np.abs(found.pixels[0] - small).mean() < (12 if kind == "GIF" else 4)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1"])
def test_every_mode_is_reduced(mode: str) -> None:
    drawn = flat((200, 100, 50), (5_200, 5_200)).convert(mode)
    found = views(encoded(drawn, "PNG", compress_level=1)).pixels[0]
    wanted = np.asarray(drawn.convert("RGB").resize((224, 224), Image.Resampling.BOX)).astype(int)
    assert np.abs(found.reshape(-1, 3).mean(axis=0) - wanted.reshape(-1, 3).mean(axis=0)).max() < 2


def test_reducing_keeps_twice_the_target() -> None:
    for width, height in itertools.product((300, 5_000, 9_999, 65_000), repeat=2):
        across, down = factors(width, height, 224)
        assert min(width // across, 448) >= min(width, 448)
        assert min(height // down, 448) >= min(height, 448)
        assert (width // across) * (height // down) <= max(FULL_PIXELS, 448 * 65_000)


def test_a_canvas_that_its_decoder_holds_twice_counts_twice() -> None:
    limits = Limits(max_pixels=SIDE * SIDE)
    assert views(encoded(RGB_IMAGE, "PNG"), SIDE, limits).facts.width == SIDE
    for kind in ("WEBP", "AVIF"):
        with pytest.raises(ImageError, match="TOO_LARGE"):
            views(encoded(RGB_IMAGE, kind), SIDE, limits)


def test_colours_are_the_same_in_a_decoder_process() -> None:
    """It may open no file any more when it meets its first profile."""
    files = [
        png_cases.rgb(png_cases.cicp(9, 16)),
        png_cases.rgb(png_cases.chrm(*png_cases.BT2020) + png_cases.gama(1)),
        jpeg_cases.inserted(jpeg_cases.GREY_BASE, *jpeg_cases.parts(profiles.grey(1.0), 1)),
        jpeg_cases.inserted(jpeg_cases.CMYK_BASE, *jpeg_cases.parts(profiles.table(b"CMYK", 4), 1)),
        bmp(24, BGR),
    ]
    with DecodePool(1, SIDE, timeout_s=60.0) as pool:
        for data in files:
            assert np.array_equal(pool.submit(data).result(60).pixels, views(data, SIDE).pixels)
