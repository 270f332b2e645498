"""ICC profiles written by code (ICC.1:2022, clause 7 to 10): small, and of every kind that images carry."""

import struct
from typing import Final

import numpy as np

Curve = float | tuple[float, ...] | None
Matrix = tuple[tuple[float, float, float], ...]

D50: Final = (0.9642, 1.0, 0.8249)
SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SRGB: Final = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
DISPLAY_P3: Final = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
ADOBE_RGB: Final = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
PROPHOTO: Final = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))
SWAPPED: Final = (SRGB[2], SRGB[1], SRGB[0])


def profile(
    space: bytes,
    tags: dict[bytes, bytes],
    *,
    version: int = 2,
    device_class: bytes = b"mntr",
    connection: bytes = b"XYZ ",
) -> bytes:
    """A whole profile from its tags' data; a description and a white point are added."""
    white = _xyz(D50)
    text = _description(version)
    entries = {b"desc": text, b"wtpt": white, b"cprt": _text(version), **tags}
    table, body, at = b"", b"", 128 + 4 + 12 * len(entries)
    for name, data in entries.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += padded
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", version << 24, device_class, space, connection)
    head += struct.pack(">6H4s", 2025, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    head += struct.pack(">3i", *(round(level * 65536) for level in D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(entries)) + table + body


def matrix(columns: Matrix, curve: Curve, *, version: int = 2, extra: dict[bytes, bytes] | None = None) -> bytes:
    """An RGB display profile: three colorants and one curve for all three channels."""
    tags = {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(curve))
    return profile(b"RGB ", tags | (extra or {}), version=version)


def grey(curve: Curve, *, version: int = 2) -> bytes:
    return profile(b"GRAY", {b"kTRC": _curve(curve)}, version=version)


def table(
    space: bytes, channels: int, *, steps_a_channel: int = 0, device_class: bytes = b"prtr", connection: bytes = b"Lab "
) -> bytes:
    """A profile whose `A2B0` is a table: the channels darken and tint the paper."""
    size = steps_a_channel or (9 if channels == 4 else 17)
    steps = np.stack(np.meshgrid(*[np.linspace(0, 1, size)] * channels, indexing="ij"), -1).reshape(-1, channels)
    ink = steps if channels == 4 else 1 - steps
    lightness = np.clip(1 - ink.mean(axis=1) * 1.2, 0, 1)
    shift = ink[:, 0] - ink[:, -1]
    lab = np.stack([lightness, 0.5 + 0.2 * shift, 0.5 - 0.1 * shift], -1)
    entries = np.round(lab * 255).astype(np.uint8).tobytes()
    ramp = bytes(range(256))
    head = b"mft1" + bytes(4) + bytes((channels, 3, size, 0))
    unit = struct.pack(">9i", *(round(v * 65536) for v in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut = head + unit + ramp * channels + entries + ramp * 3
    return profile(space, {b"A2B0": lut}, device_class=device_class, connection=connection)


def _curve(curve: Curve) -> bytes:
    if curve is None:
        return b"curv" + bytes(4) + struct.pack(">I", 0)
    if isinstance(curve, tuple):
        return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(_fixed(v) for v in curve)
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(curve * 256))


def _xyz(levels: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(level) for level in levels)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _description(version: int) -> bytes:
    if version >= 4:
        return _text(version)
    return b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(8 + 3 + 67)


def _text(version: int) -> bytes:
    if version >= 4:
        words = "test".encode("utf-16-be")
        return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(words), 28) + words
    return b"text" + bytes(4) + b"test\0"


def code_points(primaries: int, transfer: int, matrix_number: int = 0, full: int = 1) -> dict[bytes, bytes]:
    """A `cicp` tag."""
    return {b"cicp": b"cicp" + bytes(4) + bytes((primaries, transfer, matrix_number, full))}


def with_header(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


_WHOLE: Final = matrix(SWAPPED, 2.2)
KINDS: Final[dict[str, bytes]] = {
    "sRGB": matrix(SRGB, SRGB_CURVE, version=4),
    "linear": matrix(SRGB, 1.0),
    "swapped": _WHOLE,
    "Display P3, version 4": matrix(DISPLAY_P3, SRGB_CURVE, version=4),
    "Adobe RGB": matrix(ADOBE_RGB, 2.19921875),
    "ProPhoto": matrix(PROPHOTO, 1.8),
    "without curve": matrix(ADOBE_RGB, None),
    "grey": grey(1.0),
    "grey, version 4": grey(SRGB_CURVE, version=4),
    "grey to Lab": profile(b"GRAY", {b"kTRC": _curve(1.0)}, connection=b"Lab "),
    "grey table": table(b"GRAY", 1),
    "table": table(b"RGB ", 3),
    "table of a scanner": table(b"RGB ", 3, device_class=b"scnr"),
    "device link": table(b"RGB ", 3, device_class=b"link", connection=b"RGB "),
    "abstract": table(b"RGB ", 3, device_class=b"abst"),
    "CMYK": table(b"CMYK", 4),
    "cicp P3": matrix(SWAPPED, 2.2, version=4, extra=code_points(12, 13)),
    "cicp PQ": matrix(SWAPPED, 2.2, version=4, extra=code_points(9, 16)),
    "cicp primaries only": matrix(SWAPPED, 2.2, extra=code_points(9, 2)),
    "cicp unknown": matrix(SWAPPED, 2.2, extra=code_points(3, 3)),
    "cicp narrow": matrix(SWAPPED, 2.2, extra=code_points(12, 13, 0, 0)),
    "with filler": _WHOLE + bytes(99),
    "cut": _WHOLE[:-20],
    "half": _WHOLE[:300],
    "version 5": with_header(_WHOLE, 8, b"\5"),
    "without signature": with_header(_WHOLE, 36, b"xxxx"),
    "of another illuminant": with_header(_WHOLE, 68, bytes(12)),
    "larger than it is": with_header(_WHOLE, 0, b"\0\0\x99\x99"),
    "without blue's curve": _WHOLE.replace(b"bTRC", b"zTRC"),
    "of an unknown class": with_header(_WHOLE, 12, b"zzzz"),
}
