"""The frames of an APNG that a browser would show, renumbered; or the still alone.

An animation that breaks a rule ends before the frame that breaks it. One that breaks before its first frame,
or is announced behind the pixels, is the still.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

Part = tuple[bytes, bytes]
_CONTROL: Final = struct.Struct(">IIIIIHHBB")
_MOST_FRAMES: Final = 2**31 - 1
_LAST_DISPOSAL, _LAST_BLEND = 2, 1


@dataclass(frozen=True, slots=True)
class Canvas:
    width: int
    height: int


@dataclass(slots=True)
class _Frame:
    control: bytes
    pixels: list[bytes] = field(default_factory=list)


def animation(chunks: list[Part], canvas: Canvas) -> tuple[int, list[Part]]:
    """Number of frames (a separate still counts) and the chunks that carry them."""
    still = [chunk for chunk in chunks if chunk[0] == b"IDAT"]
    announced = _announced(chunks)
    if announced <= 1:
        return 1, still
    frames, still_is_first = _frames(chunks, canvas, announced)
    shown = [frame for frame in frames if frame.pixels or (frame is frames[0] and still_is_first)]
    if not shown or (len(shown) == 1 and still_is_first):
        return 1, still
    count = len(shown) + (not still_is_first)
    return count, [(b"acTL", struct.pack(">II", len(shown), 0)), *_numbered(shown, still, still_is_first)]


def _announced(chunks: list[Part]) -> int:
    """Frames that the first acTL chunk before the pixels promises; 0 without one."""
    for kind, body in chunks:
        if kind == b"IDAT":
            break
        if kind == b"acTL" and len(body) == 8:  # noqa: PLR2004
            count = int.from_bytes(body[:4])
            return count if count <= _MOST_FRAMES else 0
    return 0


def _frames(chunks: list[Part], canvas: Canvas, announced: int) -> tuple[list[_Frame], bool]:
    """The sound frames in order, and whether the still is the first of them."""
    frames: list[_Frame] = []
    expected, seen_pixels, still_is_first = 0, False, False
    for kind, body in chunks:
        if kind == b"IDAT":
            still_is_first |= not seen_pixels and bool(frames)
            seen_pixels = True
        if kind not in (b"fcTL", b"fdAT"):
            continue
        if int.from_bytes(body[:4]) != expected or (kind == b"fdAT" and not frames):
            break
        expected += 1
        lacks_pixels = bool(frames) and not frames[-1].pixels and not (len(frames) == 1 and still_is_first)
        if kind == b"fdAT":
            frames[-1].pixels.append(body[4:])
        elif lacks_pixels or len(frames) == announced or not _is_sound(body, canvas, is_still=not seen_pixels):
            break
        else:
            frames.append(_Frame(body))
    return frames, still_is_first


def _is_sound(control: bytes, canvas: Canvas, *, is_still: bool) -> bool:
    if len(control) != _CONTROL.size:
        return False
    _, width, height, x, y, _, _, disposal, blend = _CONTROL.unpack(control)
    if is_still and (width, height, x, y) != (canvas.width, canvas.height, 0, 0):
        return False
    inside = width and height and x + width <= canvas.width and y + height <= canvas.height
    return bool(inside) and disposal <= _LAST_DISPOSAL and blend <= _LAST_BLEND


def _numbered(frames: list[_Frame], still: list[Part], still_is_first: bool) -> Iterator[Part]:
    number = 0
    for frame in frames:
        if frame is frames[0] and not still_is_first:
            yield from still
        yield b"fcTL", number.to_bytes(4) + frame.control[4:]
        number += 1
        if frame is frames[0] and still_is_first:
            yield from still
            continue
        for pixels in frame.pixels:
            yield b"fdAT", number.to_bytes(4) + pixels
            number += 1
