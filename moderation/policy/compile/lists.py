"""Lists of known things: entries in their normal forms, and sets that hold a million of them in 16 MB.

Domains match with their sub-domains, pages exactly or by `…/*`, hashes and creative ids exactly,
perceptual hashes (PDQ) within a Hamming distance.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.events import one_line
from moderation.normal import Incomparable, Normal, NormalContext, domains, identifier, page_key, visible
from moderation.normal.text import JOINERS, unquoted

DIGEST_BYTES: Final = 16
"""Of BLAKE2b: among a million entries two collide with probability below 1e-26."""
MAX_MISTAKES_PER_FILE: Final = 20
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_COMMENT: Final = re.compile(r"(^|\s)#.*", re.DOTALL)
_MORE_THAN_A_DOMAIN: Final = re.compile(r"^[*.]|[/\\@?#]|^[^:]*:[^:]*$")
_COLUMN_END: Final = ",; "
"""What the export of a table with one column leaves at the end of a line."""
_COLUMNS: Final = re.compile(r"[^\t]\t+\s*[^\s#]")
_MORE_THAN_AN_ID: Final = re.compile(r"[,;#]|^[-*•] ")
"""In a line of ids: columns, joined ids, a comment without a space before it, a bullet."""
KINDS: Final = ("crid", "adomain", "domain", "page_url", "content_sha256", "perceptual_hash")


class EntryMistake(ValueError):
    """An entry that cannot match anything."""

    def __init__(self, problem: str, expected: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.expected, self.hint = problem, expected, hint


def canonical(kind: str, entry: str) -> str:
    """The form in which an entry of a list is compared. Raises EntryMistake."""
    if kind == "crid":
        return _crid_entry(entry)
    if kind in {"adomain", "domain"}:
        return _domain_entry(entry)
    if kind == "page_url":
        return _page_entry(entry)
    text = unquoted(visible(entry))
    if not _HEX64.fullmatch(lower := text.lower()):
        raise EntryMistake(f"'{_short(text)}' is not a {_HASH_NAMES[kind]}", "64 hex digits")
    return lower


_HASH_NAMES: Final = {"content_sha256": "sha256", "perceptual_hash": "PDQ hash"}


def _crid_entry(entry: str) -> str:
    found = identifier(entry)
    if isinstance(found, Incomparable) or not found:
        problem = found.reason if isinstance(found, Incomparable) else f"'{_short(entry)}' is no creative id"
        raise EntryMistake(problem, "a creative id", "" if found else "remove it")
    return found


def _domain_entry(entry: str) -> str:
    """Strict, unlike events: who writes a path or a port into a list of domains means something narrower."""
    text = visible(entry, keep=JOINERS)
    names = domains(text)
    one = names[0] if len(names) == 1 else ""
    if isinstance(one, str) and one and not _MORE_THAN_A_DOMAIN.search(text.removeprefix("[")):
        return one
    raise EntryMistake(
        f"'{_short(text)}' is not a domain", "a bare domain, e.g. example.com", _domain_hint(text, names)
    )


def _domain_hint(text: str, names: tuple[Normal, ...]) -> str:
    known = [name for name in names if isinstance(name, str)]
    if len(names) > 1:
        return "write each on an entry of its own" if len(known) == len(names) else ""
    if text.startswith(("*", ".")) and known:
        return f"sub-domains match anyway: write {known[0]}"
    return f"write {known[0]}" if known else ""


def _page_entry(entry: str) -> str:
    found = page_key(entry)
    if isinstance(found, Incomparable) or not found:
        problem = f"'{_short(entry.strip())}' is not a page"
        raise EntryMistake(problem, "example.com/page, or example.com/section/*")
    return found


def _short(text: str) -> str:
    return one_line(text, 80)


def suffixes(domain: str) -> Iterator[str]:
    """`a.b.example.com` → itself, `b.example.com`, `example.com`; an address has nothing above it."""
    if domain.startswith("["):
        yield domain
    name = domain
    while "." in name:
        yield name
        name = name.partition(".")[2]


def pages(page: str) -> Iterator[str]:
    """What a page matches: itself, and `…/*` for every folder above it."""
    yield page
    above = page
    while above:
        yield f"{above}/*"
        above = above.rpartition("/")[0]


def probes(kind: str, context: NormalContext, content_sha256: str | None) -> list[tuple[str, ...]]:
    """What to look up for an event: for every value of that kind, the entries that would match it.

    A value that is not comparable has no entry that matches it.
    """
    if kind == "crid":
        return [(context.crid,)] if context.crid else []
    if kind in {"adomain", "domain"}:
        known = [tuple(suffixes(domain)) for domain in getattr(context, kind)]
        return known + [()] * context.unlisted[kind]
    if kind == "page_url":
        return [tuple(pages(context.page.key))] if context.page else []
    return [(content_sha256,)] if content_sha256 else []


def digest(entry: str) -> bytes:
    return hashlib.blake2b(entry.encode(), digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class DigestSet:
    """A large set of text: `digests` is `[N] S16`, sorted, unique."""

    digests: NDArray[np.bytes_]

    @classmethod
    def of(cls, entries: Iterable[str]) -> "DigestSet":
        packed = bytearray()
        for entry in entries:
            packed += digest(entry)
        return cls(np.unique(np.frombuffer(bytes(packed), dtype=f"S{DIGEST_BYTES}")))

    def __contains__(self, entry: str) -> bool:
        wanted = np.bytes_(digest(entry))
        at = int(np.searchsorted(self.digests, wanted))
        return at < len(self.digests) and bool(self.digests[at] == wanted)

    def __len__(self) -> int:
        return len(self.digests)


def pdq_words(hex_hash: str) -> NDArray[np.uint64]:
    """64 hex digits → `[4] uint64`."""
    return np.frombuffer(bytes.fromhex(hex_hash), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class HashBank:
    """PDQ hashes `[N,4] uint64`, column after column, each with its own `distance` `[N] uint16`."""

    words: NDArray[np.uint64]
    distance: NDArray[np.uint16]

    @classmethod
    def of(cls, hashes: Iterable[str], distance: int) -> "HashBank":
        packed = b"".join(bytes.fromhex(h) for h in hashes)
        words = np.asfortranarray(np.frombuffer(packed, dtype=np.uint64).reshape(-1, 4))
        return cls(words, np.full(len(words), distance, dtype=np.uint16))

    @classmethod
    def at(cls, bank: "HashBank", distance: int) -> "HashBank":
        """The same hashes, not copied, at another distance."""
        return cls(bank.words, np.full(len(bank), distance, dtype=np.uint16))

    @classmethod
    def joined(cls, banks: "Iterable[HashBank]") -> "HashBank":
        every = list(banks)
        words = np.asfortranarray(np.concatenate([b.words for b in every]))
        return cls(words, np.concatenate([b.distance for b in every]))

    def near(self, hex_hash: str) -> NDArray[np.intp]:
        """Indices of the entries within their own distance of a hash. Half of the bits settle it for nearly all."""
        wanted = pdq_words(hex_hash)
        half = np.bitwise_count(self.words[:, 0] ^ wanted[0]) + np.bitwise_count(self.words[:, 1] ^ wanted[1])
        candidates = np.flatnonzero(half <= self.distance)
        differing = np.bitwise_count(self.words[candidates] ^ wanted).sum(axis=1, dtype=np.uint16)
        near: NDArray[np.intp] = candidates[differing <= self.distance[candidates]]
        return near

    def __len__(self) -> int:
        return len(self.words)


@dataclass(slots=True)
class ListFile:
    """One file of entries. `entries` is a DigestSet, or a HashBank (distance 0 until a policy sets it)."""

    sha256: str
    entries: DigestSet | HashBank
    mistakes: list[tuple[int, str, EntryMistake]]


def read_list(path: Path, kind: str) -> ListFile:
    """Read a file of entries, one per line; `#` begins a comment. Raises OSError, UnicodeDecodeError."""
    hasher = hashlib.sha256()
    mistakes: list[tuple[int, str, EntryMistake]] = []
    with path.open("rb") as stream:
        lines = _canonical_lines(stream, kind, hasher, mistakes)
        entries = HashBank.of(lines, 0) if kind == "perceptual_hash" else DigestSet.of(lines)
    return ListFile(hasher.hexdigest(), entries, mistakes)


def _canonical_lines(
    stream: Iterable[bytes], kind: str, hasher: "hashlib._Hash", mistakes: list[tuple[int, str, EntryMistake]]
) -> Iterator[str]:
    for number, raw in enumerate(stream, 1):
        hasher.update(raw)
        if (at := raw.find(b"\0")) >= 0:
            raise UnicodeDecodeError("utf-8", raw, at, at + 1, "a zero byte, as UTF-16 has them")
        for line in raw.decode("utf-8").splitlines():
            text = _COMMENT.sub("", visible(line, keep=JOINERS)).rstrip(_COLUMN_END)
            if not text:
                continue
            try:
                yield _entry_of_line(kind, line, text)
            except EntryMistake as mistake:
                if len(mistakes) < MAX_MISTAKES_PER_FILE:
                    mistakes.append((number, line, mistake))


def _entry_of_line(kind: str, line: str, text: str) -> str:
    """Strict, so that what else stands on a line makes no other entry of it. Raises EntryMistake."""
    if _COLUMNS.search(line.strip()):
        raise EntryMistake(f"'{_short(text)}' has several columns", "one entry on a line")
    if kind == "crid" and _MORE_THAN_AN_ID.search(text) and not _is_quoted(text):
        hint = "" if '"' in text else f'if it is one id, write "{_short(text)}"'
        raise EntryMistake(f"'{_short(text)}' may be more than an id", "one id on a line", hint)
    return canonical(kind, text)


def _is_quoted(text: str) -> bool:
    inner = unquoted(text)
    return inner != text and text[0] not in inner
