"""Domains as compared: the host of whatever URL was sent, by UTS #46 non-transitional processing, in ASCII.

What a browser would connect to decides: scheme, credentials, port, path and a dot at the end do not count,
addresses have one notation (WHATWG URL, 3.5), and letters are mapped as UTS #46 maps them.
The only import of `idna`.
"""

import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import idna

from moderation.normal.result import Incomparable, Normal
from moderation.normal.text import CACHED, CACHED_LENGTH, JOINERS, one_width, split, unquoted, visible
from moderation.sent import SEPARATORS

_SCHEME: Final = re.compile(r"(?P<name>[a-z][a-z0-9+.\-]*):(?=//)//+|(?P<web>https?|wss?|ftp):/*|//+", re.IGNORECASE)
_ENCODED_SCHEME: Final = re.compile(r"[a-z]+%3a(%2f){2}", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"[^/?#]*")
_PORT: Final = re.compile(r":[0-9]*$")
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_PLAIN: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{0,62}")
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_SEPARATORS: Final = re.compile(f"[{SEPARATORS}]+")
_LINE_ENDS: Final = dict.fromkeys(map(ord, "\t\r\n"))
"""Dropped inside a URL, as browsers do."""
_MAX_HOST: Final = 253
_MAX_LABEL: Final = 63
_PUNYCODE: Final = "xn--"
_MARKS: Final = "-_\u00b7\u05f3\u05f4\u30fb"
"""Punctuation in domains: middle dots and Hebrew marks count as letters (RFC 5892, appendix A)."""
_SAYS_NOTHING: Final = " .,;/|\"'"
NOT_A_DOMAIN: Final = "is not a domain"


class Parts(NamedTuple):
    """A URL or what was meant as one, cut up. `scheme` is empty where none was written."""

    scheme: str
    authority: str
    rest: str


def parts(text: str) -> Parts:
    """Never raises; a backslash is a slash, as browsers read it."""
    clean = unquoted(visible(text.translate(_LINE_ENDS), keep=JOINERS)).strip("<>").replace("\\", "/")
    if _ENCODED_SCHEME.match(clean):
        clean = _unescaped(clean)
    found = _SCHEME.match(clean)
    scheme = ((found["name"] or found["web"]) if found else None) or ""
    after = clean[found.end() :] if found else clean
    authority = _AUTHORITY.match(after)
    end = authority.end() if authority else 0
    return Parts(scheme.lower(), after[:end], after[end:])


def domains(text: str) -> tuple[Normal, ...]:
    """Every domain that a value names: producers join several by commas, semicolons or spaces."""
    return _domains(text) if len(text) <= CACHED_LENGTH else _domains.__wrapped__(text)


@lru_cache(maxsize=CACHED)
def _domains(text: str) -> tuple[Normal, ...]:
    if len(text) <= _MAX_HOST and _PLAIN.fullmatch(text) and _PUNYCODE not in text:
        return (text,)
    found: list[Normal] = []
    inside_path = False
    for part in split(unquoted(visible(text, keep=JOINERS)), _SEPARATORS):
        name = domain(part)
        if inside_path and "//" not in part and isinstance(name, Incomparable):
            continue
        cut = parts(part)
        inside_path = bool(cut.rest.strip("/")) or (inside_path and "//" not in part)
        found += [name] if name else []
    return tuple(dict.fromkeys(found))


def domain(text: str) -> Normal:
    """The one domain that a value names."""
    return _domain(text) if len(text) <= CACHED_LENGTH else _domain.__wrapped__(text)


@lru_cache(maxsize=CACHED)
def _domain(text: str) -> Normal:
    if not visible(text).strip(_SAYS_NOTHING):
        return ""
    return host(parts(text).authority, text) or Incomparable.of(text, NOT_A_DOMAIN)


def host(authority: str, shown: str) -> Normal:
    """The host of `user:password@host:port`. `shown` is the value that a reason repeats."""
    bare = authority.rpartition("@")[2].strip()
    if literal := _ipv6(bare):
        return literal
    if not (name := _decoded(_PORT.sub("", bare))):
        return "" if not bare else Incomparable.of(shown, NOT_A_DOMAIN)
    try:
        mapped = _mapped(name)
    except (idna.IDNAError, UnicodeError):
        return Incomparable.of(shown, "holds a character that no domain has")
    return _checked(mapped, shown)


def _decoded(name: str) -> str:
    """Percent-escapes as browsers read them in a host; a wildcard counts as the domain that it is below."""
    if "%" in name:
        name = _unescaped(name)
    return name.removeprefix("*.")


def _unescaped(text: str) -> str:
    return unquote_to_bytes(text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _mapped(name: str) -> str:
    """Raises IDNAError, UnicodeError."""
    if name.isascii():
        lower = name.lower()
        for label in lower.split(".") if _PUNYCODE in lower else ():
            _check_encoded(label)
        return lower
    labels = idna.uts46_remap(one_width(name), std3_rules=False).split(".")
    return ".".join(_ascii_label(_without_stray_joiners(label)) for label in labels)


def _ascii_label(label: str) -> str:
    if label.isascii():
        _check_encoded(label)
        return label
    _check_letters(label)
    return _PUNYCODE + label.encode("punycode").decode("ascii")


def _check_encoded(label: str) -> None:
    """Raises IDNAError, UnicodeError where `xn--…` is not how its letters are encoded."""
    if not label.startswith(_PUNYCODE):
        return
    if len(label) > _MAX_LABEL:
        raise idna.IDNAError("too long")
    letters = label.removeprefix(_PUNYCODE).encode("ascii").decode("punycode")
    if letters.isascii() or _ascii_label(_without_stray_joiners(idna.uts46_remap(letters, std3_rules=False))) != label:
        raise idna.IDNAError("not how any label is encoded")


def _check_letters(label: str) -> None:
    """Raises IDNAError for quotes, commas, dashes: punctuation that IDNA 2008 has in no domain."""
    if any(unicodedata.category(character).startswith("P") and character not in _MARKS for character in label):
        raise idna.IDNAError("holds punctuation")


def _without_stray_joiners(label: str) -> str:
    """A joiner makes another name only where a script needs it (RFC 5892, appendix A); elsewhere it is dirt."""
    if not any(joiner in label for joiner in JOINERS):
        return label
    kept = [c for at, c in enumerate(label) if c not in JOINERS or _joins(label, at)]
    return unicodedata.normalize("NFC", "".join(kept))


def _joins(label: str, at: int) -> bool:
    try:
        return idna.valid_contextj(label, at)
    except (ValueError, idna.IDNAError):
        return False


def _checked(name: str, shown: str) -> Normal:
    bare = name.strip(".")
    if not bare:
        return ""
    if _NUMBER.fullmatch(bare.rpartition(".")[2]):
        is_an_id = "." not in bare and "//" not in shown.replace("\\", "/")
        return (not is_an_id and _ipv4(bare)) or Incomparable.of(shown, "is neither a domain nor an address")
    if len(bare) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in bare.split(".")):
        return Incomparable.of(shown, NOT_A_DOMAIN)
    return bare if "." in bare else Incomparable.of(shown, "is not a domain: it has no dot")


def _ipv6(bare: str) -> str:
    """`[2001:db8::1]` in one notation, with or without brackets and port; empty where it is none."""
    inner, closed, port = bare.removeprefix("[").partition("]")
    bracketed = bare.startswith("[")
    if bare.count(":") < 2 or bracketed != bool(closed) or (port and not _PORT.fullmatch(port)):  # noqa: PLR2004
        return ""
    try:
        address = ipaddress.IPv6Address(inner.partition("%")[0])
    except ValueError:
        return ""
    return str(address.ipv4_mapped or f"[{address.compressed}]")


def _ipv4(name: str) -> str:
    """Decimal, octal, hexadecimal and short notations as browsers read them; empty where there is no such address."""
    numbers = [_number(label) for label in name.split(".")]
    if len(numbers) > 4 or any(n is None for n in numbers):  # noqa: PLR2004 - bytes of an address
        return ""
    *first, last = (n or 0 for n in numbers)
    if any(n > 255 for n in first) or last >= 256 ** (4 - len(first)):  # noqa: PLR2004
        return ""
    value = last + sum(n << 8 * (3 - at) for at, n in enumerate(first))
    return str(ipaddress.IPv4Address(value))


def _number(label: str) -> int | None:
    if not _NUMBER.fullmatch(label):
        return None
    digits, base = (label[2:] or "0", 16) if label.startswith("0x") else (label, 8 if label[0] == "0" else 10)
    try:
        return int(digits[:20], base) if len(digits) <= 20 else None  # noqa: PLR2004 - longer is no address
    except ValueError:
        return None
