"""PNG: colour chunks alone, together, out of place and broken; metadata of any size; animations out of order."""

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from tests.drawn import encoded, exif, png_chunk
from tests.images import profiles
from tests.images.case import ALPHA, FEW_LEVELS, GREY, RGB, RGB_IMAGE, RGBA, SIDE, Case

BT2020 = (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
DISPLAY_P3 = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
SWAPPED = (0.3127, 0.329, 0.15, 0.06, 0.3, 0.6, 0.64, 0.33)
SRGB = png_chunk(b"sRGB", b"\0")
CLIPPED_LEVELS = 16
"""Without tone mapping a few colours lie far outside sRGB, and are cut in another order."""
PRIVATE = {b"zzzz": b"data" + bytes(1_200_000)}


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return png_chunk(b"cICP", bytes((primaries, transfer, matrix, full)))


def gama(gamma: float) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(*values: float) -> bytes:
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def iccp(profile: bytes) -> bytes:
    return png_chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))


def damaged(chunk: bytes) -> bytes:
    """The chunk with a wrong sum."""
    return chunk[:-4] + b"\0\1\2\3"


def light_level(nits: float) -> bytes:
    return png_chunk(b"cLLI", struct.pack(">II", round(nits * 10_000), 0))


def mastering(nits: float) -> bytes:
    return png_chunk(b"mDCV", bytes(16) + struct.pack(">II", round(nits * 10_000), 1))


def png(
    samples: Any, colour_type: int, before: bytes = b"", after: bytes = b"", *, bits: int = 8, palette: bytes = b""
) -> bytes:
    """A PNG of the samples, with chunks before the palette and behind the pixels."""
    wide = (samples.astype(np.uint16) * 257).astype(">u2") if bits == 16 else samples
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    head = struct.pack(">IIBBBBB", SIDE, SIDE, bits, colour_type, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + before + palette + pixels + after + png_chunk(b"IEND", b"")


rgb = partial(png, RGB, 2)
grey = partial(png, GREY, 0)
rgba = partial(png, RGBA, 6)
grey_alpha = partial(png, np.dstack([GREY, ALPHA]), 4)
_QUANTISED = RGB_IMAGE.quantize(200)
_PALETTE = png_chunk(b"PLTE", bytes(_QUANTISED.getpalette() or ())[:600])


def palette(before: bytes = b"", between: bytes = b"") -> bytes:
    return png(np.asarray(_QUANTISED), 3, before, palette=_PALETTE + between)


def cases() -> Iterator[Case]:
    files = {**_gammas(), **_code_points(), **_profiles(), **_precedence(), **_broken(), **_metadata(), **_animations()}
    for name, data in files.items():
        levels = CLIPPED_LEVELS if name.endswith((" 100 nits", " 203 nits")) else FEW_LEVELS
        yield Case(f"png {name}", "image/png", data, levels)


def _gammas() -> dict[str, bytes]:
    values = (0, 0.00001, 0.01, 0.1, 0.3, 0.43, 0.4318, 0.45455, 0.4772, 0.478, 0.5, 0.55556, 1, 2, 5, 50)
    files = {f"gAMA {value}": rgb(gama(value)) for value in values}
    kinds: dict[str, Callable[[bytes], bytes]] = {"grey": grey, "RGBA": rgba, "grey and alpha": grey_alpha}
    kinds["palette"] = palette
    for name, draw in kinds.items():
        files[f"gAMA, {name}"] = draw(gama(1))
        files[f"gAMA and cHRM, {name}"] = draw(chrm(*BT2020) + gama(0.45455))
        files[f"no colour chunk, {name}"] = draw(b"")
    for name, space in {"P3": DISPLAY_P3, "2020": BT2020, "swapped": SWAPPED, "zeros": (0,) * 8}.items():
        files |= {f"cHRM {name} alone": rgb(chrm(*space)), f"cHRM {name} and gAMA": rgb(chrm(*space) + gama(1))}
    line = (0.3127, 0.329, *(0.3,) * 6)
    files |= {"cHRM on one point": rgb(chrm(*line) + gama(1)), "gAMA, 16 bits": rgb(gama(1), bits=16)}
    return files | {"gAMA, grey, 16 bits": grey(gama(1), bits=16), "gAMA behind the palette": palette(b"", gama(1))}


def _code_points() -> dict[str, bytes]:
    files = {f"cICP 1, {transfer}": rgb(cicp(1, transfer)) for transfer in range(20)}
    files |= {f"cICP {primaries}, 13": rgb(cicp(primaries, 13)) for primaries in (*range(13), 22, 23)}
    for transfer, primaries in itertools.product((16, 18), (1, 9, 12)):
        files[f"cICP {primaries}, {transfer}"] = rgb(cicp(primaries, transfer))
    for transfer, nits in itertools.product((16, 18), (0, 100, 203, 300, 4_000, 10_000)):
        files[f"cICP 9, {transfer}, {nits} nits"] = rgb(cicp(9, transfer) + light_level(nits))
        files[f"cICP 9, {transfer}, mastered for {nits} nits"] = rgb(cicp(9, transfer) + mastering(nits))
    both = mastering(4_000) + light_level(300)
    files |= {"cICP 9, 16, both levels": rgb(cicp(9, 16) + both), "cICP HDR, grey": grey(cicp(9, 16))}
    files |= {"cICP HDR, 16 bits": rgb(cicp(9, 16), bits=16), "cICP HDR, grey and alpha": grey_alpha(cicp(9, 18))}
    files |= {"cICP, palette": palette(cicp(9, 13)), "cICP behind the palette": palette(b"", cicp(9, 13))}
    files |= {"cICP narrow": rgb(cicp(9, 13, 0, 0)), "cICP for YCbCr": rgb(cicp(9, 13, 9, 1))}
    return files | {"cICP range 2": rgb(cicp(9, 13, 0, 2)), "cICP unknown, gAMA": rgb(cicp(2, 2) + gama(1))}


def _profiles() -> dict[str, bytes]:
    files = {f"iCCP {name}": rgb(iccp(profile)) for name, profile in profiles.KINDS.items()}
    files |= {f"iCCP {name}, grey": grey(iccp(profile)) for name, profile in profiles.KINDS.items()}
    swapped = iccp(profiles.KINDS["swapped"])
    files |= {"iCCP, RGBA": rgba(swapped), "iCCP, palette": palette(swapped), "iCCP, 16 bits": rgb(swapped, bits=16)}
    return files | {"iCCP grey, grey and alpha": grey_alpha(iccp(profiles.grey(1.0)))}


def _precedence() -> dict[str, bytes]:
    """Every order of every set of the four, each meaning something else."""
    chunks = {"cICP": cicp(12, 13), "iCCP": iccp(profiles.KINDS["swapped"]), "sRGB": SRGB, "gAMA": gama(1)}
    files = {}
    for count in (2, 3, 4):
        for order in itertools.permutations(chunks, count):
            files[" before ".join(order)] = rgb(b"".join(chunks[name] for name in order))
    linear = iccp(profiles.KINDS["linear"])
    files |= {"iCCP twice": rgb(chunks["iCCP"] + linear), "gAMA twice": rgb(gama(1) + gama(0.3))}
    files |= {"cICP twice": rgb(cicp(12, 13) + cicp(9, 16)), "grey iCCP, gAMA": rgb(iccp(profiles.grey(1.0)) + gama(1))}
    return files | {f"{name} behind the pixels": rgb(b"", chunk) for name, chunk in chunks.items()}


def _broken() -> dict[str, bytes]:
    profile = profiles.KINDS["swapped"]
    packed = zlib.compress(profile)
    bodies = {"cut": b"x\0\0" + packed[:-60], "without sum": b"x\0\0" + packed[:-4], "method 1": b"x\0\1" + packed}
    bodies |= {"unnamed": b"\0\0" + packed, "with a long name": b"x" * 80 + b"\0\0" + packed, "empty": b""}
    bodies |= {"with filler": b"x\0\0" + packed + b"abcd", "of zeros": b"x\0\0" + zlib.compress(bytes(500))}
    files = {f"iCCP {name}, gAMA": rgb(png_chunk(b"iCCP", body) + gama(1)) for name, body in bodies.items()}
    whole = {"gAMA": gama(1), "iCCP": iccp(profile), "cICP": cicp(9, 16), "tEXt": png_chunk(b"tEXt", b"a\0b")}
    files |= {f"{name} with a wrong sum": rgb(damaged(chunk)) for name, chunk in whole.items()}
    short = {
        "gAMA": b"\0\1",
        "cHRM": bytes(31),
        "sRGB": b"",
        "cICP": b"\1",
        "pHYs": b"\0",
        "tRNS": b"\0",
        "acTL": b"\0",
    }
    files |= {f"{name} too short": rgb(gama(1) + png_chunk(name.encode(), body)) for name, body in short.items()}
    return files | {
        "sRGB intent 9": rgb(png_chunk(b"sRGB", b"\x09") + gama(1)),
        "odd name": rgb(png_chunk(b"a1!d", b"")),
    }


def _metadata() -> dict[str, bytes]:
    text = b"a" * 2_500_000
    chunks = {
        "iTXt": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text)),
        "zTXt": png_chunk(b"zTXt", b"a\0\0" + zlib.compress(text)),
        "tEXt": png_chunk(b"tEXt", b"a\0" + text),
        "zTXt bomb": png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 1)),
        "many tEXt": png_chunk(b"tEXt", b"a\0" + b"a" * 9_000) * 300,
        "eXIf": png_chunk(b"eXIf", exif(6)[6:] + bytes(200_000)),
        "eXIf twice": png_chunk(b"eXIf", exif(6)[6:]) + png_chunk(b"eXIf", exif(3)[6:]),
        "eXIf with a prefix": png_chunk(b"eXIf", exif(6)),
    }  # fmt: skip
    files = {f"large {name}": rgb(chunk + gama(1)) for name, chunk in chunks.items()}
    files |= {"eXIf behind the pixels": rgb(b"", png_chunk(b"eXIf", exif(6)[6:]))}
    return files | {"large iCCP": rgb(iccp(profiles.matrix(profiles.SWAPPED, 2.2, extra=PRIVATE)))}


def animated_chunks() -> list[tuple[bytes, bytes]]:
    """IHDR, acTL, fcTL, IDAT, fcTL, fdAT, fcTL, fdAT, IEND: three frames."""
    frames = [Image.fromarray(np.ascontiguousarray(np.roll(RGB, 9 * i, 0))) for i in range(3)]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=100)
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def assembled(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)


def animations() -> dict[str, tuple[bytes, int]]:
    """File and the number of frames that Chromium shows of it (found with its `ImageDecoder`)."""
    whole = animated_chunks()
    ihdr, actl, fctl, idat, *rest = whole
    one, two = [(b"acTL", struct.pack(">II", count, 0)) for count in (1, 2)]
    outside = (b"fcTL", rest[0][1][:4] + struct.pack(">II", 100, 64) + rest[0][1][12:])
    skipped = [(kind, struct.pack(">I", int.from_bytes(body[:4]) + 1) + body[4:]) for kind, body in rest[2:4]]
    files = {
        "in order": (whole, 3),
        "acTL behind fcTL": ([ihdr, fctl, actl, idat, *rest], 3),
        "without acTL": ([ihdr, fctl, idat, *rest], 1),
        "acTL behind the pixels": ([ihdr, fctl, idat, actl, *rest], 1),
        "acTL of one frame": ([ihdr, one, fctl, idat, *rest], 1),
        "acTL of two frames": ([ihdr, two, fctl, idat, *rest], 2),
        "acTL too short": ([ihdr, (b"acTL", b"\0\0\0\3"), fctl, idat, *rest], 1),
        "second frame outside": ([ihdr, actl, fctl, idat, outside, *rest[1:]], 1),
        "number left out": ([ihdr, actl, fctl, idat, *rest[:2], *skipped, *rest[4:]], 2),
        "without fdAT": ([chunk for chunk in whole if chunk[0] != b"fdAT"], 1),
        "last frame empty": ([*whole[:-1], (b"fcTL", struct.pack(">I", 5) + rest[0][1][4:]), whole[-1]], 3),
    }
    return {name: (assembled(chunks), frames) for name, (chunks, frames) in files.items()}


def _animations() -> dict[str, bytes]:
    return {f"animation, {name}": data for name, (data, _) in animations().items()}
