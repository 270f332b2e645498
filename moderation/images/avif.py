"""AVIF: canvas and frames as libavif finds them, colour from the container's `colr` boxes (ISO/IEC 23000-22)."""

from collections.abc import Iterator
from io import BytesIO
from typing import Final

from PIL import AvifImagePlugin, Image

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images import av1
from moderation.images.encodings import HDR_PEAK_NITS, HLG, PQ, CodePoints, Encoding, Icc
from moderation.images.headers import Header, malformed, printable
from moderation.images.icc import encoding_of
from moderation.images.primaries import CURVES, PRIMARIES

AvifImagePlugin.DEFAULT_MAX_THREADS = 1
_ITEMS: Final = (b"meta", b"iprp", b"ipco")
_TRACKS: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"av01")
_SKIPPED: Final = {b"meta": 4, b"stsd": 8, b"av01": 78}
"""Bytes between a container's name and the first box in it."""
_LIKE_SRGB: Final = frozenset({1, 6, 13, 14, 15})
"""Transfers that browsers take for sRGB's curve in AVIF, where PNG's cICP means them literally."""


_NOT_SHOWN: Final = frozenset({9, 10, 11, 12})
"""Logarithmic and xvYCC curves."""


def read_header(data: bytes) -> Header:
    """libavif parses the container on opening and decodes nothing yet.

    Raises ImageError DECODE_FAILED, TOO_LARGE where Pillow finds the canvas absurd.
    """
    try:
        with Image.open(BytesIO(data), formats=("AVIF",)) as image:
            exif = image.info.get("exif", b"")
            width, height, frames = image.width, image.height, getattr(image, "n_frames", 1)
    except Image.DecompressionBombError as error:
        raise ImageError(Status.TOO_LARGE, printable(f"{error}")) from error
    except (ArithmeticError, LookupError, OSError, RuntimeError, SyntaxError, TypeError, ValueError) as error:
        raise malformed(printable(f"AVIF: {type(error).__name__}: {error}")) from error
    exif = exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""
    return Header(width, height, frames, exif=exif, encoding=_encoding(data, width, height), weight=2)


def _encoding(data: bytes, width: int, height: int) -> Encoding:
    """A profile counts before code points. One that browsers cannot use makes them show nothing."""
    boxes = [*_boxes_under(data, _ITEMS), *_boxes_under(data, _TRACKS)]
    colours = [body for name, body in boxes if name == b"colr"]
    for body in colours:
        if body[:4] in (b"prof", b"rICC"):
            return _checked_profile(body[4:])
    for body in colours:
        if body[:4] == b"nclx":
            points = int.from_bytes(body[4:6]), int.from_bytes(body[6:8])
            return _code_points(*points, _peak(dict(reversed(boxes))))
    stream = av1.code_points(data, width, height)
    return _code_points(*stream, _peak(dict(reversed(boxes)))) if stream else None


def _checked_profile(data: bytes) -> Encoding:
    encoding = encoding_of(data)
    if encoding is None or (isinstance(encoding, Icc) and encoding.describes != "RGB"):
        raise malformed("AVIF with a colour profile that is no readable RGB profile")
    return encoding


def _code_points(primaries: int, transfer: int, peak_nits: float) -> CodePoints:
    if transfer in _NOT_SHOWN:
        raise malformed(f"AVIF with the transfer characteristics {transfer}, which browsers do not show")
    known = transfer in CURVES and transfer not in _LIKE_SRGB
    return CodePoints(
        primaries if primaries in PRIMARIES else 1, transfer if known or transfer in (PQ, HLG) else 13, peak_nits
    )


def _peak(boxes: dict[bytes, bytes]) -> float:
    """The content light level, else the mastering display's luminance, in nits."""
    return (
        int.from_bytes(boxes.get(b"clli", b"")[:2])
        or int.from_bytes(boxes.get(b"mdcv", b"")[16:20]) / 10_000
        or HDR_PEAK_NITS
    )


def _boxes_under(data: bytes, path: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every box in the containers of that path."""
    if not path:
        yield from _boxes(data)
        return
    for name, body in _boxes(data):
        if name == path[0]:
            yield from _boxes_under(body[_SKIPPED.get(name, 0) :], path[1:])


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """ISO/IEC 14496-12, 4.2: size and name, a long size after size 1, the rest of the file for size 0."""
    at = 0
    while at + 8 <= len(data):
        size, start = int.from_bytes(data[at : at + 4]), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16]), at + 16
        end = len(data) if size == 0 else at + size
        if end < start:
            return
        yield data[at + 4 : at + 8], data[start:end]
        at = end
