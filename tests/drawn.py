"""Test images, all drawn by code: pictures, and files of every accepted format made from them."""

import io
import struct
import zlib
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")
Pixels = NDArray[np.uint8]


def picture(width: int, height: int, seed: int = 0) -> Pixels:
    """Smooth colour blobs with a little grain, `[height,width,3] uint8`: compresses like a photograph."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.integers(0, 8, smooth.shape)
    return (smooth + grain).clip(0, 255).astype(np.uint8)


def encoded(image: Image.Image | Pixels, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    shown = image if isinstance(image, Image.Image) else Image.fromarray(image)
    shown.save(buffer, kind, **options)
    return buffer.getvalue()


def animation(frames: list[Image.Image], kind: str, duration: int | list[int] = 100) -> bytes:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=duration, **options)


def flat(colour: tuple[int, ...], size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, rows: bytes, *, bits: int = 8, colour_type: int = 2, extra: bytes = b"") -> bytes:
    """A PNG from filtered rows, for what Pillow does not write (16-bit RGB, gAMA, lying headers)."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            extra,
            png_chunk(b"IDAT", zlib.compress(rows, 9)),
            png_chunk(b"IEND", b""),
        )
    )


def gif_of_tiny_frames(count: int, canvas: tuple[int, int] = (8, 8)) -> bytes:
    """`count` one-pixel frames: cheap to write, and to send to someone."""
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\x02\x02\x44\x01\0"
    head = b"GIF89a" + struct.pack("<HH", *canvas) + b"\x80\0\0" + bytes((0, 0, 0, 255, 255, 255))
    return head + frame * count + b";"


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()
