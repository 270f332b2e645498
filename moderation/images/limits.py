"""How much an image may ask for, and the answer to one that asks for more."""

from dataclasses import dataclass

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images.headers import Header

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """All are inclusive maxima.

    max_bytes:        file size, bytes.
    max_pixels:       canvas, width x height; half for WebP and AVIF, whose decoders hold it several times.
    max_total_pixels: canvas x frames; bounds the work an animation can cause.
    max_frames:       frames of an animation; all are decoded to find the most different.
    max_views:        views returned for one image (frames, backgrounds and tiles together).
    max_scans:        scans of a progressive JPEG; real encoders write about ten, each costs a full pass.
    """

    max_bytes: int = 10 * MEBIBYTE
    max_pixels: int = 100_000_000
    max_total_pixels: int = 100_000_000
    max_frames: int = 1_000
    max_views: int = 16
    max_scans: int = 64

    def check_bytes(self, size: int) -> None:
        """Raises ImageError TOO_LARGE."""
        _refuse_above(size, self.max_bytes, "bytes")

    def check_header(self, header: Header) -> None:
        """Raises ImageError TOO_LARGE for what the header announces, before anything is decoded."""
        canvas = header.width * header.height
        _refuse_above(canvas, self.max_pixels // header.weight, f"pixels ({header.width}x{header.height})")
        _refuse_above(header.frames, self.max_frames, "frames")
        _refuse_above(canvas * header.frames, self.max_total_pixels, "pixels over all frames")
        _refuse_above(header.scans, self.max_scans, "scans")


def _refuse_above(value: int, maximum: int, what: str) -> None:
    if value > maximum:
        raise ImageError(Status.TOO_LARGE, f"{value} {what}, at most {maximum} are accepted")
