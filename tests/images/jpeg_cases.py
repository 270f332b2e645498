"""JPEG: profiles in any number of segments, grey, CMYK with and without a marker, component ids, damage."""

import struct
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from tests.drawn import encoded, exif
from tests.images import profiles
from tests.images.case import FEW_LEVELS, GREY, RGB, RGB_IMAGE, SIDE, Case

CMYK_LEVELS = 6
"""A table of four inks is interpolated differently by Little CMS."""
BASE = encoded(RGB_IMAGE, "JPEG", quality=100, subsampling=0)
GREY_BASE = encoded(Image.fromarray(GREY), "JPEG", quality=100)
CMYK_BASE = encoded(
    Image.fromarray(np.dstack([RGB, np.full((SIDE, SIDE), 40, np.uint8)]), "CMYK"), "JPEG", quality=100, subsampling=0
)
STORED_AS_RGB = encoded(RGB_IMAGE, "JPEG", quality=100, keep_rgb=True)
ADOBE_RGB_TAG = bytes.fromhex(
    "49492a0008000000010069870400010000001a00000000000000010001a00300010000000200000000000000"
)


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes((marker,)) + struct.pack(">H", len(body) + 2) + body


def inserted(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def part(number: int, count: int, body: bytes) -> bytes:
    return segment(0xE2, b"ICC_PROFILE\0" + bytes((number, count)) + body)


def parts(profile: bytes, count: int) -> list[bytes]:
    size = -(-len(profile) // count)
    return [part(i + 1, count, profile[i * size : (i + 1) * size]) for i in range(count)]


def adobe(transform: int) -> bytes:
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes((transform,)))


def without(data: bytes, marker: int) -> bytes:
    """Without the segments of a marker."""
    kept, at = data[:2], 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4])
        kept += b"" if data[at + 1] == marker else data[at : at + 2 + length]
        at += 2 + length
    return kept + data[at:]


def with_ids(data: bytes, ids: Sequence[int]) -> bytes:
    found = bytearray(data)
    frame, scan = found.index(b"\xff\xc0"), found.index(b"\xff\xda")
    for i, number in enumerate(ids):
        found[frame + 10 + 3 * i] = found[scan + 5 + 2 * i] = number
    return bytes(found)


def cases() -> Iterator[Case]:
    for name, data in {**_profiles(), **_segments(), **_colours()}.items():
        yield Case(f"jpeg {name}", "image/jpeg", data, CMYK_LEVELS if "CMYK" in name else FEW_LEVELS)


def _profiles() -> dict[str, bytes]:
    files = {}
    for name, profile in profiles.KINDS.items():
        files[f"profile {name}"] = inserted(BASE, *parts(profile, 1))
        files[f"profile {name}, grey"] = inserted(GREY_BASE, *parts(profile, 1))
        files[f"profile {name}, in CMYK"] = inserted(CMYK_BASE, *parts(profile, 1))
    progressive = encoded(Image.fromarray(GREY), "JPEG", quality=100, progressive=True)
    files["profile grey, progressive"] = inserted(progressive, *parts(profiles.grey(1.0), 1))
    table = parts(profiles.table(b"CMYK", 4), 1)
    files["profile of CMYK without a marker"] = inserted(without(CMYK_BASE, 0xEE), *table)
    return files | {"profile of CMYK, YCCK": inserted(without(CMYK_BASE, 0xEE), adobe(2), *table)}


def _segments() -> dict[str, bytes]:
    profile = profiles.KINDS["swapped"]
    first, second, third = parts(profile, 3)
    one, two = parts(profile, 2)
    linear = parts(profiles.KINDS["linear"], 1)
    large = profiles.matrix(profiles.SWAPPED, 2.2, extra={b"zzzz": b"data" + bytes(5_000_000)})
    orders = {
        "in order": [first, second, third],
        "backwards": [third, second, first],
        "mixed with others": [second, segment(0xE2, b"MPF\0xxxx"), third, segment(0xE1, b"http://ns"), first],
        "one missing": [first, third],
        "one twice": [first, second, third, first],
        "one twice before the rest": [first, first, second, third],
        "another with its number": [first, part(1, 3, b"zz"), second, third],
        "a number too high before the rest": [part(3, 2, b"zz"), one, two],
        "a number 0 behind": [one, two, part(0, 2, b"zz")],
        "another count between": [one, part(1, 9, b"zz"), two],
        "two profiles": [*parts(profile, 1), *linear],
        "two profiles, exchanged": [*linear, *parts(profile, 1)],
        "numbered from 0": [part(i, 2, b"x" + profile) for i in range(2)],
        "a number 0 among them": [part(0, 2, b"zz"), one, two],
        "a number too high": [one, two, part(3, 2, b"zz")],
        "another count behind": [one, two, part(1, 9, b"zz")],
        "another count before": [part(1, 9, b"zz"), one, two],
        "count too high": [part(1, 5, profile)],
        "count 0": [part(1, 0, profile)],
        "an empty part": [part(1, 3, profile[:300]), part(2, 3, b""), part(3, 3, profile[300:])],
        "large": parts(large, 90),
        "in APP1": [segment(0xE1, parts(profile, 1)[0][4:])],
    }  # fmt: skip
    files = {f"segments {name}": inserted(BASE, *segments) for name, segments in orders.items()}
    at = BASE.index(b"\xff\xda")
    return files | {"segments around the frame header": BASE[:2] + two + BASE[2:at] + one + BASE[at:]}


def _colours() -> dict[str, bytes]:
    bare, unmarked = without(BASE, 0xE0), without(CMYK_BASE, 0xEE)
    ids = {"RGB": b"RGB", "rgb": b"rgb", "0, 1, 2": b"\0\1\2", "1, 34, 35": bytes((1, 34, 35))}
    files = {f"ids {name}": with_ids(bare, number) for name, number in ids.items()}
    files |= {f"ids {name}, JFIF": with_ids(BASE, number) for name, number in ids.items()}
    files |= {f"Adobe transform {number}": inserted(bare, adobe(number)) for number in (0, 1, 2, 9)}
    files |= {f"CMYK with Adobe transform {number}": inserted(unmarked, adobe(number)) for number in (0, 1, 2)}
    files |= {"CMYK with a marker": CMYK_BASE, "CMYK without a marker": unmarked, "RGB with a marker": STORED_AS_RGB}
    files |= {
        "RGB without a marker": without(STORED_AS_RGB, 0xEE),
        "Adobe behind JFIF": BASE[:20] + adobe(0) + BASE[20:],
    }
    files |= {"plain": BASE, "grey": GREY_BASE, "bare": bare, "text behind the end": BASE + b"text" * 99}
    files |= {"EXIF says Adobe RGB": inserted(BASE, segment(0xE1, b"Exif\0\0" + ADOBE_RGB_TAG))}
    files |= {"rotated by EXIF": inserted(BASE, segment(0xE1, exif(6)))}
    return files | {"megabytes of APP1": inserted(BASE, *[segment(0xE1, b"x" * 65_000)] * 40)}
