"""Text as people see it: without invisible characters, composed, in one width, with plain spaces.

Producers and list files carry byte-order marks, zero-width and bidirectional marks, soft hyphens and spaces
of other kinds. None of them can be seen, so none of them makes another id.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from moderation.normal.result import Incomparable, Normal

CACHED: Final = 65_536
CACHED_LENGTH: Final = 256
"""Longer values are worked out anew, so that a cache cannot be filled with megabytes."""
JOINERS: Final = "\u200c\u200d"
_LOST: Final = re.compile(r"[\ufffd\ud800-\udfff]")
"""What decoders put where they could not read: the replacement character, and halves of surrogate pairs."""
_SELECTORS: Final = "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0x180B, 0x1810)]))
_ALSO_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2065" + _SELECTORS)
"""Default ignorable code points of Unicode that are not of category Cf."""
_PLAIN: Final = re.compile(r"[!#-&(-_a-~]+")
_SPACE: Final = re.compile(r"\s")
_SPACES: Final = re.compile(r"\s+")
_WORD_BREAKS: Final = frozenset("\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\u2028\u2029")
_BOM_READ_AS_LATIN: Final = "ï»¿"
_QUOTES: Final = frozenset(['""', "''", "``", "“”", "„“", "‘’", "‚‘", "«»", "»«", "‹›"])
"""Pairs, as exports and word processors write them."""
_HYPHENS: Final = dict.fromkeys(map(ord, "‐‑﹣"), "-")
"""The hyphen that breaks no line and its sisters are one sign."""


def visible(text: str, *, keep: str = "") -> str:
    """Without invisible characters, every space and line end as a plain space, nothing around it.

    keep: invisible characters that have a meaning in this text.
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    seen = text.removeprefix("\ufeff").removeprefix(_BOM_READ_AS_LATIN)
    return _SPACE.sub(" ", "".join(_shown(character, keep) for character in seen)).strip()


def _shown(character: str, keep: str) -> str:
    if character in keep:
        return character
    if character in _WORD_BREAKS:
        return " "
    hidden = character in _ALSO_INVISIBLE or unicodedata.category(character) in {"Cc", "Cf"}
    return "" if hidden else character


def one_width(text: str) -> str:
    """Full-width and half-width forms as the characters that they are forms of, composed (NFC)."""
    if text.isascii():
        return text
    folded = "".join(unicodedata.normalize("NFKC", c) if _is_width_form(c) else c for c in text)
    return unicodedata.normalize("NFC", folded)


def _is_width_form(character: str) -> bool:
    return unicodedata.decomposition(character).startswith(("<wide>", "<narrow>"))


def unquoted(text: str) -> str:
    """Without pairs of quotes around it."""
    while len(text) > 1 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text


def identifier(text: str) -> Normal:
    """An id as compared: case counts, what cannot be seen does not."""
    return _identifier(text) if len(text) <= CACHED_LENGTH else _identifier.__wrapped__(text)


@lru_cache(maxsize=CACHED)
def _identifier(text: str) -> Normal:
    if _PLAIN.fullmatch(text):
        return text
    if _LOST.search(text):
        return Incomparable.of(text, "holds U+FFFD: characters of it were lost before it was sent")
    clean = text
    while (next_clean := unquoted(_SPACES.sub(" ", one_width(visible(clean)).translate(_HYPHENS)).strip())) != clean:
        clean = next_clean
    return clean


def split(text: str, separators: "re.Pattern[str]") -> list[str]:
    """The parts of a joined value that say something."""
    return [part for part in separators.split(text) if part]
