"""What is not accepted, and by which status: formats, sizes, bombs, damage."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images import Limits, views
from tests.drawn import FORMATS, animation, encoded, flat, gif_of_tiny_frames, picture, png_chunk, raw_png

LIMITS = Limits()
CORRUPT = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def refusal(data: bytes, limits: Limits = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as refused:
        views(data, limits=limits)
    return refused.value


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf <?xml version='1.0'?><!-- x --><svg/>", "SVG"),
        (b"<?xml version='1.0'?><x/>", "XML"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "EPS"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "MP4"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1" + bytes(20), "Photoshop"),
        (b"\xff\x0a" + bytes(20), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"PK\3\4" + bytes(40), "ZIP"),
        (b"\x1f\x8b\x08" + bytes(40), "gzip"),
        (b"\x1a\x45\xdf\xa3" + bytes(40), "WebM"),
        (b"hello world", "unknown"),
        (encoded(flat((1, 2, 3)), "TIFF"), "TIFF"),
        (encoded(flat((1, 2, 3)), "ICO"), "icon"),
        (encoded(flat((1, 2, 3)), "EPS"), "EPS"),
    ],
)
def test_other_formats_are_refused_by_name(data: bytes, name: str) -> None:
    error = refusal(data)
    assert error.status is Status.DECODE_UNSUPPORTED
    assert name in error.detail
    assert "only JPEG, PNG, GIF, WEBP, AVIF, BMP" in error.detail


def test_too_many_bytes() -> None:
    assert refusal(bytes(10 * 1024 * 1024 + 1)).status is Status.TOO_LARGE


def lying_png(width: int, height: int) -> bytes:
    return raw_png(width, height, b"\0" * 64)


def lying_webp(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + struct.pack("<I", width - 1)[:3]
    body += struct.pack("<I", height - 1)[:3] + b"VP8L" + struct.pack("<I", 4) + b"\x2f\0\0\0"
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def lying_jpeg(width: int, height: int) -> bytes:
    data = bytearray(encoded(flat((1, 2, 3)), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def lying_gif(width: int, height: int) -> bytes:
    return gif_of_tiny_frames(1, (width, height))


def lying_avif(width: int, height: int) -> bytes:
    data = bytearray(encoded(flat((1, 2, 3)), "AVIF"))
    at = data.index(b"ispe")
    data[at + 8 : at + 16] = struct.pack(">II", width, height)
    return bytes(data)


@pytest.mark.parametrize("lying", [lying_png, lying_webp, lying_jpeg, lying_gif, lying_avif])
@pytest.mark.parametrize("size", [(10001, 10000), (16000, 16000)])
def test_a_huge_canvas_is_refused_from_the_header(
    lying: Any, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding would be the mistake: no decoder may be asked at all."""
    monkeypatch.setattr("moderation.images.jpeg.simplejpeg.decode_jpeg", _not_called)
    monkeypatch.setattr("moderation.images.pillow.frames", _not_called)
    error = refusal(lying(*size))
    assert error.status is Status.TOO_LARGE
    assert f"{size[0]}x{size[1]}" in error.detail or "DecompressionBomb" in error.detail


def _not_called(*_args: Any, **_options: Any) -> Any:
    raise AssertionError("a decoder was asked")


@pytest.mark.parametrize("size", [(0, 10), (10, 0)])
def test_an_empty_canvas_is_malformed(size: tuple[int, int]) -> None:
    for lying in (lying_png, lying_jpeg):
        assert refusal(lying(*size)).status is Status.DECODE_FAILED


def test_a_frame_larger_than_its_canvas_counts_as_the_canvas() -> None:
    """A GIF may announce 1x1 and bring a frame of 65535x65535: decoders enlarge the canvas for it."""
    data = bytearray(gif_of_tiny_frames(1, (1, 1)))
    at = data.index(b"\x2c")
    data[at + 5 : at + 9] = struct.pack("<HH", 65535, 65535)
    assert refusal(bytes(data)).status is Status.TOO_LARGE


def test_a_png_bomb_is_refused_before_it_is_unpacked() -> None:
    rows = zlib.compress(bytes(30_000 * 3 + 1) * 100, 9)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    assert refusal(data + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")).status is Status.TOO_LARGE


@CORRUPT
@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_a_bomb_in_a_text_or_profile_chunk_costs_little(kind: bytes) -> None:
    packed = zlib.compress(bytes(50_000_000), 1)
    body = {b"iCCP": b"x\0\0", b"zTXt": b"x\0\0", b"iTXt": b"x\0\1\0\0\0"}[kind] + packed
    rows = (b"\0" + bytes(120)) * 30
    data = raw_png(40, 30, rows, extra=png_chunk(kind, body))
    try:
        assert views(data).facts.width == 40
    except ImageError as error:
        assert error.status is Status.DECODE_FAILED


def test_too_many_frames_and_too_many_pixels_over_all_frames() -> None:
    many = refusal(gif_of_tiny_frames(10_000))
    assert (many.status, "10000 frames" in many.detail) == (Status.TOO_LARGE, True)
    large = refusal(gif_of_tiny_frames(101, (1000, 1000)))
    assert (large.status, "over all frames" in large.detail) == (Status.TOO_LARGE, True)
    assert views(gif_of_tiny_frames(1000)).facts.frames == 1000


def test_a_progressive_jpeg_with_many_scans() -> None:
    data = encoded(picture(200, 150), "JPEG", progressive=True)
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    bomb = data[:end] + data[start:end] * 500 + data[end:]
    error = refusal(bomb)
    assert (error.status, "scans" in error.detail) == (Status.TOO_LARGE, True)
    assert views(data).facts.width == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xc0\x00\x02\xff\xda\x00\x02",
        b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03\x01\x11\x00\x02\x11\x01\x03\x11\x01\xff\xda\x00\x02",
    ],
)
def test_a_jpeg_whose_segments_end_before_their_fields_is_refused(data: bytes) -> None:
    """It used to cost two decoder processes instead of a word."""
    assert refusal(data).status is Status.DECODE_FAILED


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    data = encoded(picture(320, 240), kind)
    assert refusal(data[: int(len(data) * share)]).status is Status.DECODE_FAILED


@pytest.mark.parametrize(("kind", "cut"), [("PNG", 13), ("GIF", 3), ("WEBP", 2), ("AVIF", 1), ("BMP", 1)])
def test_missing_pixels_are_noticed(kind: str, cut: int) -> None:
    assert refusal(encoded(picture(320, 240), kind)[:-cut]).status is Status.DECODE_FAILED


@pytest.mark.parametrize(("kind", "end"), [("JPEG", 2), ("PNG", 12), ("GIF", 1)])
def test_a_file_that_lacks_nothing_but_its_end_marker_is_whole(kind: str, end: int) -> None:
    data = encoded(picture(320, 240), kind)
    for cut in range(1, end + 1):
        assert np.array_equal(views(data[:-cut]).pixels, views(data).pixels)


def test_a_chunk_name_cannot_smuggle_control_characters() -> None:
    """Found by the malformed set: a damaged chunk's name stood in the detail as it was."""
    data = encoded(picture(64, 48), "PNG").replace(b"IDAT", b"ID\x80T")
    assert refusal(data).detail == "PNG with the unknown critical chunk ID?T"


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(encoded(picture(320, 240), "PNG"))
    data[data.index(b"IDAT") + 2000] ^= 1
    assert "checksum" in refusal(bytes(data)).detail


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_a_bad_last_frame_refuses_the_animation(kind: str) -> None:
    data = bytearray(animation([Image.fromarray(picture(200, 150, seed)) for seed in range(6)], kind))
    if kind == "WEBP":
        data[data.rindex(b"VP8L") + 8] = 0
    else:
        data[-900:-300] = bytes(600)
    assert refusal(bytes(data)).status is Status.DECODE_FAILED


def test_the_broken_frame_is_named() -> None:
    data = bytearray(animation([Image.fromarray(picture(200, 150, seed)) for seed in range(6)], "PNG"))
    at = data.rindex(b"fdAT")
    body = bytes(4) + bytes(200)
    start = at - 4
    length = struct.unpack(">I", data[start : start + 4])[0]
    data[start : start + 12 + length] = png_chunk(b"fdAT", bytes(data[at + 4 : at + 8]) + body)
    assert "frame 6 of 6" in refusal(bytes(data)).detail


@pytest.mark.parametrize("tail", [b"PK\3\4" + bytes(100), b"<script>alert(1)</script>", b"%PDF-1.7", bytes(1000)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_a_polyglot_is_judged_by_how_it_begins(kind: str, tail: bytes) -> None:
    """What a browser shows of it is the image at its start; the rest is never looked at."""
    data = encoded(picture(64, 48), kind)
    assert np.array_equal(views(data + tail).pixels, views(data).pixels)


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a/*" + b" " * 40 + b"*/=1;alert(1)",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0<?php",
        b"\x89PNG\r\n\x1a\n" + b"A" * 100,
        b"RIFF\x20\0\0\0WEBPVP8 " + b"A" * 40,
        b"\0\0\0\x1cftypavif\0\0\0\0mif1avif" + b"A" * 100,
    ],
)
def test_magic_bytes_alone_are_no_image(data: bytes) -> None:
    assert refusal(data).status is Status.DECODE_FAILED


def test_neither_name_nor_order_of_pages_counts_in_a_multi_picture_jpeg() -> None:
    data = encoded(flat((255, 0, 0)), "MPO", save_all=True, append_images=[flat((0, 0, 255))])
    found = views(data)
    assert (found.facts.format, found.facts.frames) == ("JPEG", 1)
    assert found.pixels[0].reshape(-1, 3).mean(axis=0)[0] > 240


def test_details_are_one_line_and_show_no_paths(tmp_path: Path) -> None:
    for data in (b"\x89PNG\r\n\x1a\n" + b"\n" * 100, encoded(picture(64, 48), "GIF")[:-9], b"\0\x01\x02"):
        detail = refusal(data).detail
        assert detail.isprintable()
        assert "/" not in detail
