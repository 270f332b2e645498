"""Which format the bytes are, by magic bytes only: names and content types are untrusted claims."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from moderation.errors import ImageError
from moderation.events import Status


class Format(StrEnum):
    JPEG = "JPEG"
    PNG = "PNG"
    GIF = "GIF"
    WEBP = "WEBP"
    AVIF = "AVIF"
    BMP = "BMP"


_ACCEPTED: Final[tuple[tuple[Format, Callable[[bytes], bool]], ...]] = (
    (Format.JPEG, lambda d: d.startswith(b"\xff\xd8\xff")),
    (Format.PNG, lambda d: d.startswith(b"\x89PNG\r\n\x1a\n")),
    (Format.GIF, lambda d: d.startswith((b"GIF87a", b"GIF89a"))),
    (Format.WEBP, lambda d: d.startswith(b"RIFF") and d[8:12] == b"WEBP"),
    (Format.AVIF, lambda d: bool({b"avif", b"avis"} & _brands(d))),
    (Format.BMP, lambda d: d.startswith(b"BM")),
)

_HEIF_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

_REFUSED: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("HEIC", lambda d: bool(_HEIF_BRANDS & _brands(d))),
    ("MP4 or QuickTime video", lambda d: d[4:8] == b"ftyp"),
    ("TIFF", lambda d: d.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))),
    ("PDF", lambda d: d.startswith(b"%PDF")),
    ("EPS or PostScript", lambda d: d.startswith((b"%!", b"\xc5\xd0\xd3\xc6"))),
    ("Photoshop", lambda d: d.startswith(b"8BPS")),
    ("icon", lambda d: d.startswith((b"\0\0\1\0", b"\0\0\2\0"))),
    ("JPEG XL", lambda d: d.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL "))),
    ("JPEG 2000", lambda d: d.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"))),
    ("WebM or Matroska video", lambda d: d.startswith(b"\x1a\x45\xdf\xa3")),
    ("Flash", lambda d: d.startswith((b"FWS", b"CWS", b"ZWS"))),
    ("gzip", lambda d: d.startswith(b"\x1f\x8b")),
    ("ZIP", lambda d: d.startswith(b"PK\3\4")),
    ("SVG", lambda d: b"<svg" in _text_head(d)),
    ("HTML", lambda d: _text_head(d).startswith((b"<!doctype html", b"<html"))),
    ("XML", lambda d: _text_head(d).startswith(b"<?xml")),
)


def sniff(data: bytes) -> Format:
    """The format of an image file. Raises ImageError DECODE_UNSUPPORTED naming what it is instead."""
    for kind, matches in _ACCEPTED:
        if matches(data):
            return kind
    accepted = ", ".join(Format)
    raise ImageError(Status.DECODE_UNSUPPORTED, f"{_name_of_refused(data)} is not accepted, only {accepted}")


def _name_of_refused(data: bytes) -> str:
    if not data:
        return "an empty file"
    return next((name for name, matches in _REFUSED if matches(data)), "an unknown format")


def _brands(data: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4]), 256, len(data))
    return {data[i : i + 4] for i in (8, *range(16, end - 3, 4))}


def _text_head(data: bytes) -> bytes:
    return data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
