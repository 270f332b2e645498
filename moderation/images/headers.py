"""What a file's structure announces, read without decoding a pixel: the part that the formats share."""

from dataclasses import dataclass

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images.encodings import Encoding


@dataclass(frozen=True, slots=True)
class Header:
    """What a file announces.

    width, height: canvas in pixels, before any rotation.
    frames:        what a browser would show, a still beside an animation included.
    exif:          raw block of the tags that viewers obey; empty where there is none.
    encoding:      what the samples mean; None is sRGB.
    body:          the file as the decoder gets it, where that differs: without what only costs memory.
    weight:        how many canvases of a common decoder its decoder holds in memory.
    """

    width: int
    height: int
    frames: int = 1
    scans: int = 1
    exif: bytes = b""
    encoding: Encoding = None
    body: bytes = b""
    weight: int = 1


def printable(text: str) -> str:
    """Untrusted text for a message, as printable ASCII on one line, capped."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:160])


def malformed(detail: str) -> ImageError:
    return ImageError(Status.DECODE_FAILED, detail)


def check_canvas(width: int, height: int) -> None:
    """Raises ImageError DECODE_FAILED for an empty canvas."""
    if width <= 0 or height <= 0:
        raise malformed(f"canvas of {width}x{height} pixels")
