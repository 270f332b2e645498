"""Lists of known things: entries made comparable, and sets that hold a million of them in 16 MB.

Domains match with their sub-domains, pages exactly or by `…/*`, hashes and creative ids exactly,
perceptual hashes (PDQ) within a Hamming distance.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from moderation.events import AdContext, one_line

DIGEST_BYTES: Final = 16
"""Of BLAKE2b: among a million entries two collide with probability below 1e-26."""
MAX_MISTAKES_PER_FILE: Final = 20
_DOMAIN: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+")
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_COMMENT: Final = re.compile(r"(^|\s)#.*", re.DOTALL)
KINDS: Final = ("crid", "adomain", "domain", "page_url", "content_sha256", "perceptual_hash")


class EntryMistake(ValueError):
    """An entry that cannot match anything."""

    def __init__(self, problem: str, expected: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.expected, self.hint = problem, expected, hint


def canonical(kind: str, entry: str) -> str:
    """The form in which an entry of a list is compared. Raises EntryMistake."""
    text = entry.strip()
    if kind == "crid":
        return text
    if kind in {"adomain", "domain"}:
        return _domain_entry(text)
    if kind == "page_url":
        return _page_entry(text)
    if not _HEX64.fullmatch(lower := text.lower()):
        raise EntryMistake(f"'{_short(text)}' is not a {_HASH_NAMES[kind]}", "64 hex digits")
    return lower


_HASH_NAMES: Final = {"content_sha256": "sha256", "perceptual_hash": "PDQ hash"}


def _domain_entry(text: str) -> str:
    name = ascii_domain(text)
    if _DOMAIN.fullmatch(name):
        return name
    bare = page_key(text).partition("/")[0]
    hint = f"write {bare}" if _DOMAIN.fullmatch(bare) else ""
    hint = "sub-domains match anyway: write " + name[2:] if _DOMAIN.fullmatch(name[2:]) and name[:2] == "*." else hint
    raise EntryMistake(f"'{_short(text)}' is not a domain", "a bare domain, e.g. example.com", hint)


def _page_entry(text: str) -> str:
    page = page_key(text)
    host = page.partition("/")[0]
    if not _DOMAIN.fullmatch(host):
        raise EntryMistake(f"'{_short(text)}' is not a page", "example.com/page, or example.com/section/*")
    return page


def _short(text: str) -> str:
    return one_line(text, 80)


@lru_cache(maxsize=65_536)
def ascii_domain(name: str) -> str:
    """Lower case, no dot at the end, IDNA where it is not ASCII."""
    bare = name.strip().rstrip(".").lower()
    if bare.isascii():
        return bare
    try:
        return bare.encode("idna").decode("ascii")
    except UnicodeError:
        return bare


def page_key(url: str) -> str:
    """`https://Example.com:443/a/b/?q` → `example.com/a/b`; schemes, ports, queries and a slash at the end do
    not count."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
    except ValueError:
        return url.lower()
    return ascii_domain(parts.hostname or "") + parts.path.rstrip("/")


def suffixes(domain: str) -> Iterator[str]:
    """`a.b.example.com` → itself, `b.example.com`, `example.com`."""
    name = ascii_domain(domain)
    while "." in name:
        yield name
        name = name.partition(".")[2]


def pages(url: str) -> Iterator[str]:
    """What a page matches: itself, and `…/*` for everything it stands below."""
    page = page_key(url)
    yield page
    above = page
    while above:
        yield f"{above}/*"
        above = above.rpartition("/")[0]


def probes(kind: str, context: AdContext, content_sha256: str | None) -> list[tuple[str, ...]]:
    """What to look up for an event: for every value of that kind, the entries that would match it."""
    if kind == "crid":
        return [(context.crid,)] if context.crid else []
    if kind == "adomain":
        return [tuple(suffixes(domain)) for domain in context.adomain]
    if kind == "domain":
        host = context.domain or (page_key(context.page_url).partition("/")[0] if context.page_url else "")
        return [tuple(suffixes(host))] if host else []
    if kind == "page_url":
        return [tuple(pages(context.page_url))] if context.page_url else []
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
        text = _COMMENT.sub("", raw.decode("utf-8")).strip()
        if not text:
            continue
        try:
            yield canonical(kind, text)
        except EntryMistake as mistake:
            if len(mistakes) < MAX_MISTAKES_PER_FILE:
                mistakes.append((number, raw.decode("utf-8").rstrip("\n"), mistake))
