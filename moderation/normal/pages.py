"""Pages as compared: `host/path`, the path by RFC 3986, section 6.2.

Scheme, port, credentials, query, fragment and a slash at the end do not count. Escapes of letters that need
none are resolved, all others are upper case; dot segments and doubled slashes are resolved.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from moderation.normal.hosts import Parts, host, parts
from moderation.normal.result import Incomparable, Normal
from moderation.normal.text import CACHED, CACHED_LENGTH, JOINERS, visible
from moderation.sent import SEPARATORS

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_KEPT: Final = _UNRESERVED | frozenset(b"!$&'()*+,;=:@/[]")
_ANOTHER: Final = re.compile(f"[{SEPARATORS}]\\s*https?://", re.IGNORECASE)
_ASCII_END: Final = 0x80


class Page(NamedTuple):
    """`key` is what lists compare; `url` is what expressions see, with scheme and the slash at the end."""

    key: str
    host: str
    url: str


def page(text: str) -> Page | Incomparable | None:
    """The page that a URL names; None where it names none."""
    return _page(text) if len(text) <= CACHED_LENGTH else _page.__wrapped__(text)


@lru_cache(maxsize=CACHED)
def _page(text: str) -> Page | Incomparable | None:
    cut = parts(text)
    name = host(cut.authority, text)
    if isinstance(name, Incomparable):
        return name
    if not name:
        return Incomparable.of(text, "is not a page: it names no host") if cut.rest or cut.authority else None
    if _ANOTHER.search(re.split(r"[?#]", cut.rest, maxsplit=1)[0]):
        return Incomparable.of(text, "names several pages")
    written = path(cut)
    return Page(name + written.rstrip("/"), name, f"{cut.scheme or 'https'}://{name}{written or '/'}")


def page_key(text: str) -> Normal:
    """What lists compare of a page, for an event's page and for an entry `host/path/*` alike."""
    found = page(text)
    return found.key if isinstance(found, Page) else found or ""


def path(cut: Parts) -> str:
    """The path without query and fragment, in one spelling; empty or beginning with a slash."""
    bare = re.split(r"[?#]", cut.rest, maxsplit=1)[0]
    return _merged(_escaped(bare))


def _escaped(text: str) -> str:
    """Unreserved characters as they are, all else as upper-case escapes of composed (NFC) UTF-8."""
    raw = _ESCAPE.sub(_resolved, text.encode("utf-8", "surrogatepass"))
    seen = "".join(map(_shown, raw.decode("utf-8", "surrogateescape")))
    composed = unicodedata.normalize("NFC", seen)
    data = composed.encode("utf-8", "surrogateescape")
    pieces = []
    for at, byte in enumerate(data):
        kept = byte in _KEPT or (byte == ord("%") and _ESCAPE.match(data, at) is not None)
        pieces.append(chr(byte) if kept else f"%{byte:02X}")
    return "".join(pieces)


def _shown(character: str) -> str:
    """Escaped or not, what cannot be seen is no part of a path; joiners are letters of some scripts."""
    if character.isascii() or character in JOINERS or unicodedata.category(character) == "Cs":
        return character
    return visible(f"x{character}x")[1:-1]


def _resolved(found: "re.Match[bytes]") -> bytes:
    byte = int(found[1], 16)
    return bytes([byte]) if byte in _UNRESERVED or byte >= _ASCII_END else b"%%%02X" % byte


def _merged(written: str) -> str:
    """Without `.`, `..` and empty segments; a slash at the end stays."""
    kept: list[str] = []
    segments = written.split("/")
    for segment in segments[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    closed = segments[-1] in {"", ".", ".."}
    whole = "".join(f"/{segment}" for segment in kept if segment)
    return f"{whole}/" if closed and len(segments) > 1 else whole
