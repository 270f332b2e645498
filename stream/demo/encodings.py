"""Pixels to files, in the formats that ad servers and screenshot tools really send."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from stream.demo.canvas import Pixels


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(pixels: Pixels) -> bytes:
    return _saved(Image.fromarray(pixels), "PNG")


def jpeg(pixels: Pixels, quality: int = 85) -> bytes:
    return _saved(Image.fromarray(pixels), "JPEG", quality=quality)


def webp(pixels: Pixels) -> bytes:
    return _saved(Image.fromarray(pixels), "WEBP", quality=80)


def cmyk_jpeg(pixels: Pixels) -> bytes:
    """A JPEG in print colours, as design departments send them."""
    return _saved(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=85)


def gif(frames: Sequence[Pixels], frame_ms: int) -> bytes:
    """An animation that plays once."""
    first, *rest = (Image.fromarray(frame) for frame in frames)
    return _saved(first, "GIF", save_all=True, append_images=rest, duration=frame_ms)


def cut_out(pixels: Pixels) -> bytes:
    """A PNG whose ink is what differs from white: dark letters on nothing at all."""
    ink = 255 - pixels.min(axis=2, keepdims=True)
    return _saved(Image.fromarray(np.concatenate([pixels, ink], axis=2)), "PNG")


def truncated(image: bytes) -> bytes:
    """What is left when an upload breaks off half way."""
    return image[: len(image) // 2]
