"""ICC profiles, read as browsers read them: which are ignored, and what of the others counts.

A browser (skcms) looks at few tags and never at the device class. Little CMS looks at more of both, so it gets
a profile rebuilt from what counts: a table (`A2B0`, else `A2B1`), else one curve for grey, else three curves
and three colorants. That also leaves megabytes of private tags behind.
"""

import struct
from dataclasses import dataclass, replace
from typing import Final

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images.encodings import Chromaticities, CodePoints, Encoding, Icc
from moderation.images.headers import malformed
from moderation.images.primaries import PRIMARIES, SRGB_PRIMARIES, TRANSFERS, to_xyz

_HEADER: Final = 128
_NEWEST_VERSION: Final = 4
_D50: Final = (0.9642, 1.0, 0.8249)
_ILLUMINANT_TOLERANCE: Final = 0.01
_TABLES: Final = (b"A2B0", b"A2B1")
_CURVES: Final = (b"rTRC", b"gTRC", b"bTRC")
_COLORANTS: Final = (b"rXYZ", b"gXYZ", b"bXYZ")
_CICP_BYTES: Final = 12
_MAX_BYTES: Final = 8 * 1024 * 1024
"""Of what counts; the largest tables of printers have 2 MiB. Rebuilt profiles are kept, so this bounds memory."""
_MODES: Final = {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK"}


def encoding_of(data: bytes, *, loose: bool = False) -> Encoding:
    """What a profile means; None where browsers ignore it. loose: any space that is neither grey nor CMYK is RGB.

    Raises ImageError TOO_LARGE, and DECODE_FAILED for code points that cannot be honoured.
    """
    profile = read_profile(data)
    mode = _MODES.get(profile.space, "RGB" if loose else "") if profile else ""
    if profile is None or not mode:
        return None
    if profile.cicp and mode == "RGB":
        points = CodePoints(*profile.cicp)
        if points.primaries in PRIMARIES and points.transfer in TRANSFERS:
            return points
        if points.is_hdr():
            raise malformed(f"colour profile with the unsupported code points {points.primaries}, {points.transfer}")
        profile = profile.with_known_primaries(points.primaries)
    return _rebuilt(profile, mode)


def _rebuilt(profile: "Profile", mode: str) -> Icc:
    """Little CMS is coarse in the dark of a grey curve, so that goes in as three equal curves."""
    applied_to = mode
    if b"kTRC" in profile.tags:
        profile = replace(profile, tags=dict.fromkeys(_CURVES, profile.tags[b"kTRC"]) | _colorants(SRGB_PRIMARIES))
        applied_to = "RGB"
    body = profile.to_bytes({"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}[applied_to])
    if len(body) > _MAX_BYTES:
        raise ImageError(Status.TOO_LARGE, f"colour profile with tables of more than {_MAX_BYTES} bytes")
    return Icc(body, mode, applied_to)


def _colorants(chromaticities: Chromaticities) -> dict[bytes, bytes]:
    return {name: xyz(tuple(c)) for name, c in zip(_COLORANTS, to_xyz(chromaticities).T, strict=True)}


@dataclass(frozen=True, slots=True)
class Profile:
    """space, connection: four letters each; tags: those that count; cicp: primaries and transfer, or None."""

    version: int
    space: bytes
    connection: bytes
    tags: dict[bytes, bytes]
    cicp: tuple[int, int] | None = None

    def to_bytes(self, space: bytes) -> bytes:
        """The profile as a display profile of the given space, for Little CMS."""
        entries = {b"wtpt": xyz(_D50), **self.tags}
        table, body = b"", b""
        start = _HEADER + 4 + 12 * len(entries)
        for name, data in entries.items():
            table += name + struct.pack(">II", start + len(body), len(data))
            body += data + bytes(-len(data) % 4)
        head = struct.pack(">II", start + len(body), 0) + struct.pack(">I", self.version << 24)
        head += b"mntr" + space + self.connection + struct.pack(">6H", 2025, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
        head += xyz(_D50)[8:]
        return head.ljust(_HEADER, b"\0") + struct.pack(">I", len(entries)) + table + body

    def with_known_primaries(self, primaries: int) -> "Profile":
        """A `cicp` tag with known primaries replaces the colorants, also where its transfer is unknown."""
        if primaries not in PRIMARIES or _CURVES[0] not in self.tags:
            return self
        return replace(self, tags=self.tags | _colorants(PRIMARIES[primaries]))


def read_profile(data: bytes) -> Profile | None:
    """What of it counts; None where a browser ignores the profile."""
    if len(data) < _HEADER + 4 or data[36:40] != b"acsp" or not data[8] <= _NEWEST_VERSION:
        return None
    space, connection = data[16:20], data[20:24]
    tags = _tags(data)
    if tags is None or connection not in (b"XYZ ", b"Lab ") or not _is_d50(data):
        return None
    used = _what_counts(tags, space, connection)
    return Profile(data[8], space, connection, used, _cicp(tags.get(b"cicp", b""))) if used else None


def _is_d50(data: bytes) -> bool:
    illuminant = struct.unpack_from(">3i", data, 68)
    return all(
        abs(level / 65536 - wanted) <= _ILLUMINANT_TOLERANCE for level, wanted in zip(illuminant, _D50, strict=True)
    )


def _tags(data: bytes) -> dict[bytes, bytes] | None:
    """Every tag, the first of a name; None where one lies outside the profile."""
    size, count = int.from_bytes(data[:4]), int.from_bytes(data[_HEADER : _HEADER + 4])
    if size > len(data) or _HEADER + 4 + 12 * count > size:
        return None
    tags: dict[bytes, bytes] = {}
    for at in range(_HEADER + 4, _HEADER + 4 + 12 * count, 12):
        start, length = struct.unpack_from(">II", data, at + 4)
        if start + length > size or length < 4:  # noqa: PLR2004 (a type's signature)
            return None
        tags.setdefault(data[at : at + 4], data[start : start + length])
    return tags


def _what_counts(tags: dict[bytes, bytes], space: bytes, connection: bytes) -> dict[bytes, bytes]:
    if space == b"GRAY" and b"kTRC" in tags:
        return {b"kTRC": tags[b"kTRC"]} if connection == b"XYZ " else {}
    for name in _TABLES:
        if name in tags:
            return {b"A2B0": tags[name]}
    wanted = (*_CURVES, *_COLORANTS)
    return {name: tags[name] for name in wanted} if all(name in tags for name in wanted) else {}


def _cicp(tag: bytes) -> tuple[int, int] | None:
    """Primaries and transfer of a full-range RGB `cicp` tag."""
    if len(tag) < _CICP_BYTES or tag[:4] != b"cicp" or tag[10:12] != b"\0\1":
        return None
    return tag[8], tag[9]


def xyz(levels: tuple[float, ...]) -> bytes:
    """A tag of type XYZ."""
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(level * 65536) for level in levels))
