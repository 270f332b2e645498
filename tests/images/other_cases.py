"""WebP, AVIF, GIF and BMP."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tests.drawn import encoded, exif
from tests.images import profiles
from tests.images.case import ALPHA, FEW_LEVELS, GREY, RGB, RGB_IMAGE, RGBA, SIDE, Case

AVIF_ALPHA_LEVELS = 28
"""Chromium 156 stretches AVIF's alpha as if it had video range; the standard says full range, as here."""
_SWAPPED = profiles.KINDS["swapped"]
_QUANTISED = RGB_IMAGE.quantize(200)


def cases() -> Iterator[Case]:
    for name, data in _webp().items():
        yield Case(f"webp {name}", "image/webp", data)
    for name, data in _avif().items():
        yield Case(f"avif {name}", "image/avif", data, AVIF_ALPHA_LEVELS if "alpha" in name else FEW_LEVELS)
    for name, data in _gif().items():
        yield Case(f"gif {name}", "image/gif", data)
    for name, data in _bmp().items():
        yield Case(f"bmp {name}", "image/bmp", data)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)


def _riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp() -> dict[str, bytes]:
    plain = encoded(RGB_IMAGE, "WEBP", lossless=True)
    pixels = plain[12:]
    profile, text = _chunk(b"ICCP", _SWAPPED), _chunk(b"XMP ", b"y" * 3_000_000)

    def extended(flags: int, *chunks: bytes) -> bytes:
        side = struct.pack("<I", SIDE - 1)[:3]
        return _riff(_chunk(b"VP8X", bytes((flags, 0, 0, 0)) + side + side), *chunks)

    files = {
        f"profile {name}": encoded(RGB_IMAGE, "WEBP", lossless=True, icc_profile=p)
        for name, p in profiles.KINDS.items()
    }
    files |= {
        "plain": plain,
        "lossy": encoded(RGB_IMAGE, "WEBP", quality=100),
        "profile, lossy": encoded(RGB_IMAGE, "WEBP", quality=100, icc_profile=_SWAPPED),
        "profile, alpha": encoded(Image.fromarray(RGBA), "WEBP", lossless=True, exact=True, icc_profile=_SWAPPED),
        "profile without its flag": extended(0, profile, pixels),
        "profile behind the pixels": extended(0x20, pixels, profile),
        "profile twice": extended(0x20, profile, _chunk(b"ICCP", profiles.KINDS["linear"]), pixels),
        "large metadata": extended(0x24, profile, pixels, text),
        "unknown chunks": extended(0x20, _chunk(b"abcd", b"zz"), profile, _chunk(b"efgh", bytes(999)), pixels),
        "rotation": encoded(RGB_IMAGE, "WEBP", lossless=True, exif=exif(6)),
        "text behind the end": plain + b"text" * 99,
    }  # fmt: skip
    turned = Image.fromarray(np.ascontiguousarray(RGB[::-1]))
    moving = {"save_all": True, "append_images": [turned], "duration": 1000, "lossless": True}
    files["animation"] = encoded(RGB_IMAGE, "WEBP", **moving)
    files["animation, profile"] = encoded(RGB_IMAGE, "WEBP", **moving, icc_profile=_SWAPPED)
    return files


def _nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def _streamed(data: bytes, primaries: int, transfer: int) -> bytes:
    """Without `colr`, and with the numbers in the AV1 sequence header (they were 1, 13, 6 there)."""
    at = data.index(b"\x0a", data.index(b"mdat"))
    size = data[at + 1]
    header = int.from_bytes(data[at + 2 : at + 2 + size])
    old = 1 << 16 | 13 << 8 | 6
    shift = next(s for s in range(8 * size) if header >> s & 0xFFFFFF == old)
    header ^= (old ^ (primaries << 16 | transfer << 8 | 6)) << shift
    changed = data[: at + 2] + header.to_bytes(size) + data[at + 2 + size :]
    return changed.replace(b"colrnclx", b"freenclx")


def _avif() -> dict[str, bytes]:
    def avif(image: Image.Image, **options: Any) -> bytes:
        return encoded(image, "AVIF", quality=100, subsampling="4:4:4", **options)

    plain, alpha, grey = avif(RGB_IMAGE), avif(Image.fromarray(RGBA)), avif(Image.fromarray(GREY))
    files = {f"nclx 1, {transfer}": _nclx(plain, 1, transfer) for transfer in range(20)}
    files |= {f"nclx {primaries}, 13": _nclx(plain, primaries, 13) for primaries in (*range(13), 22, 23)}
    files |= {f"nclx {p}, {t}": _nclx(plain, p, t) for p in (2, 9, 12) for t in (2, 16, 18)}
    files |= {f"profile {name}": avif(RGB_IMAGE, icc_profile=p) for name, p in profiles.KINDS.items()}
    files["profile and nclx"] = _nclx(avif(RGB_IMAGE, icc_profile=_SWAPPED), 9, 16)
    files["no colr"] = plain.replace(b"colrnclx", b"freenclx")
    for primaries, transfer in ((9, 16), (12, 13), (1, 8), (2, 2)):
        files[f"no colr, stream {primaries}, {transfer}"] = _streamed(plain, primaries, transfer)
    files |= {"grey": grey, "grey HDR": _nclx(grey, 9, 16), "limited range": avif(RGB_IMAGE, range="limited")}
    files |= {"alpha": alpha, "alpha, profile": avif(Image.fromarray(RGBA), icc_profile=_SWAPPED)}
    return files | {"rotation": avif(RGB_IMAGE, exif=exif(6)), "text behind the end": plain + b"text" * 99}


def animated_gif() -> bytes:
    frames = [Image.fromarray(np.ascontiguousarray(np.roll(RGB, 9 * i, 0))).quantize(60) for i in range(3)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)


GIF_ENDS: dict[str, bytes] = {
    "nothing": b"",
    "filler and trailer": b"\0\0;",
    "filler": bytes(9),
    "text": b"some text",
    "bytes and trailer": b"\xde\xad\xbe\xef;",
    "a comment": b"\x21\xfe\x03abc\0;",
    "a cut comment": b"\x21\xfe\x20abc",
    "a large comment": b"\x21\xfe" + (b"\xff" + b"c" * 255) * 4_000 + b"\0;",
    "a control block": b"\x21\xf9\x04\0\0\0\0\0",
    "a trailer and a script": b";<script>alert(1)</script>",
}
"""What may stand behind the last frame, in place of the trailer."""


def _gif() -> dict[str, bytes]:
    still, animation = encoded(_QUANTISED, "GIF"), animated_gif()
    files = {f"still, then {name}": still[:-1] + end for name, end in GIF_ENDS.items()}
    files |= {f"animation, then {name}": animation[:-1] + end for name, end in GIF_ENDS.items()}
    at = 13 + (3 << ((still[10] & 7) + 1))
    files |= {
        "without the last terminator": still[:-2],
        "trailer for a terminator": still[:-2] + b";",
        "87a": b"GIF87a" + still[6:],
    }
    return files | {"unknown extension": still[:at] + b"\x21\x77\x02ab\0" + still[at:]}


RED_GREEN_BLUE = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
WITH_ALPHA = RED_GREEN_BLUE + struct.pack("<I", 0xFF000000)
BGR = RGB[::-1, :, ::-1].tobytes()
BGRA = np.dstack([RGB[..., ::-1], ALPHA])[::-1].tobytes()
_INDICES = np.asarray(_QUANTISED)[::-1]
_COLOURS = np.array(_QUANTISED.getpalette()[:600], np.uint8).reshape(-1, 3)  # type: ignore[index]
PALETTE = np.dstack([_COLOURS[None, :, ::-1], np.zeros((1, 200, 1), np.uint8)]).tobytes()


def bmp(
    bits: int,
    pixels: bytes,
    compression: int = 0,
    *,
    size: int = 40,
    more: bytes = b"",
    behind: bytes = b"",
    down: bool = False,
) -> bytes:
    """more: the rest of a header longer than 40 bytes, masks and palette. behind: what follows the pixels."""
    height = -SIDE if down else SIDE
    head = struct.pack("<IiiHHIIiiII", size, SIDE, height, 1, bits, compression, len(pixels), 2835, 2835, 0, 0) + more
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(pixels), 0, 0, 14 + len(head)) + head + pixels + behind


def _version_5(kind: bytes, profile: bytes, pixels: bytes, masks: bytes = bytes(16)) -> bytes:
    return masks + kind + bytes(48) + struct.pack("<IIII", 0, 124 + len(pixels), len(profile), 0)


def run_lengths(rows: Any, end: bytes = b"\0\1") -> bytes:
    return b"".join(b"".join(bytes((1, level)) for level in row) + b"\0\0" for row in rows) + end


def _bmp() -> dict[str, bytes]:
    low = (RGB[::-1] >> 3).astype(np.uint16)
    high_green = (RGB[::-1, :, 1] >> 2).astype(np.uint16)
    five = (low[..., 0] << 10 | low[..., 1] << 5 | low[..., 2]).astype("<u2").tobytes()
    six = (low[..., 0] << 11 | high_green << 5 | low[..., 2]).astype("<u2").tobytes()
    wide = (RGB[::-1].astype(np.uint32) * 1023 // 255) << np.array([20, 10, 0], np.uint32)
    ten = np.bitwise_or.reduce(wide, axis=2).astype("<u4").tobytes()
    sixteen = RGB_IMAGE.quantize(16)
    nibbles = np.asarray(sixteen)[::-1]
    few = np.array(sixteen.getpalette()[:48], np.uint8).reshape(-1, 3)  # type: ignore[index]
    few_palette = np.dstack([few[None, :, ::-1], np.zeros((1, 16, 1), np.uint8)]).tobytes()
    black_white = np.packbits(np.asarray(Image.fromarray(GREY).convert("1"))[::-1], axis=1).tobytes()
    full = PALETTE + bytes(224)
    profiled_alpha = _version_5(b"DEBM", _SWAPPED, BGRA, WITH_ALPHA)
    return {
        "24 bits": bmp(24, BGR),
        "24 bits, top down": bmp(24, RGB[..., ::-1].tobytes(), down=True),
        "32 bits": bmp(32, BGRA),
        "32 bits with masks": bmp(32, BGRA, 3, more=RED_GREEN_BLUE),
        "alpha": bmp(32, BGRA, 3, size=56, more=WITH_ALPHA),
        "alpha masks behind the header": bmp(32, BGRA, 6, more=WITH_ALPHA),
        "alpha, version 4": bmp(32, BGRA, 3, size=108, more=WITH_ALPHA + bytes(52)),
        "alpha, version 4, no compression": bmp(32, BGRA, 0, size=108, more=WITH_ALPHA + bytes(52)),
        "alpha of zeros": bmp(32, BGRA[:-4] + bytes(4), 3, size=108, more=WITH_ALPHA + bytes(52)),
        "16 bits, 555": bmp(16, five),
        "16 bits, 565": bmp(16, six, 3, more=struct.pack("<III", 0xF800, 0x7E0, 0x1F)),
        "10 bits a channel": bmp(32, ten, 3, more=struct.pack("<III", 1023 << 20, 1023 << 10, 1023)),
        "mask in pieces": bmp(32, BGRA, 3, more=struct.pack("<III", 0xF0F000, 0xFF00, 0xFF)),
        "8 bits": bmp(8, _INDICES.tobytes(), more=full),
        "4 bits": bmp(4, (nibbles[:, ::2] << 4 | nibbles[:, 1::2]).tobytes(), more=few_palette),
        "1 bit": bmp(1, black_white, more=bytes(4) + b"\xff\xff\xff\0"),
        "run lengths": bmp(8, run_lengths(_INDICES), 1, more=full),
        "run lengths, short lines": bmp(8, run_lengths(_INDICES[:, :40]), 1, more=full),
        "run lengths, early end": bmp(8, run_lengths(_INDICES[:30]), 1, more=full),
        "run lengths without end": bmp(8, run_lengths(_INDICES, b""), 1, more=full),
        "literal runs": bmp(8, b"".join(b"\0\x40" + r.tobytes() + b"\0\0" for r in _INDICES) + b"\0\1", 1, more=full),
        "core header": b"BM" + struct.pack("<IHHIIHHHH", 26 + len(BGR), 0, 0, 26, 12, SIDE, SIDE, 1, 24) + BGR,
        "profile": bmp(24, BGR, size=124, more=_version_5(b"DEBM", _SWAPPED, BGR), behind=_SWAPPED),
        "profile that is broken": bmp(24, BGR, size=124, more=_version_5(b"DEBM", bytes(300), BGR), behind=bytes(300)),
        "profile linked": bmp(24, BGR, size=124, more=_version_5(b"KNIL", _SWAPPED, BGR), behind=_SWAPPED),
        "profile outside": bmp(24, BGR, size=124, more=_version_5(b"DEBM", bytes(10**6), BGR)),
        "profile, alpha": bmp(32, BGRA, 3, size=124, more=profiled_alpha, behind=_SWAPPED),
        "calibrated": bmp(24, BGR, size=108, more=bytes(20) + struct.pack("<9i3I", *(9 << 24,) * 9, *(1 << 16,) * 3)),
        "text behind the end": bmp(24, BGR, behind=b"text"),
        "a JPEG inside": bmp(0, b"\xff\xd8\xff", 4),
        "64 bits": bmp(64, bytes(SIDE * SIDE * 8)),
    }  # fmt: skip
