"""Recorded scores and their truth, read as streams: a million lines never stand in memory at once."""

import csv
import gzip
import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from moderation.documents.mistakes import nearest
from moderation.errors import ConfigurationError
from moderation.events import ScoredEvent, Verdict, one_line
from moderation.labels import LabelCatalogue

BATCH: Final = 512
KEYS: Final = ("event_id", "content_sha256")
_NO_PROGRESS: Final[Callable[[int], None]] = lambda _: None  # noqa: E731 - a value, passed as default
_Item = TypeVar("_Item")


def scored_events(path: Path, advance: Callable[[int], None] = _NO_PROGRESS) -> Iterator[ScoredEvent]:
    """Scored events of a JSON Lines file; `.gz` is unpacked, `-` is standard input.

    advance: told the bytes of the file (as stored) read since it was last told.
    Raises ConfigurationError naming file, line and field at the first line that is not a scored event.
    """
    with _opened(path, advance) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parsed(line, path, number)


def batches(items: Iterable[_Item], size: int = BATCH) -> Iterator[list[_Item]]:
    """Consecutive lists of up to `size` items."""
    stream = iter(items)
    while batch := list(itertools.islice(stream, size)):
        yield batch


@contextmanager
def _opened(path: Path, advance: Callable[[int], None]) -> Iterator[Iterator[bytes]]:
    if str(path) == "-":
        yield iter(sys.stdin.buffer)
        return
    try:
        with path.open("rb") as stored:
            unpacked = gzip.GzipFile(fileobj=stored) if path.suffix == ".gz" else stored
            yield _lines(stored, unpacked, advance)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: cannot be read: {reason}") from error


def _lines(stored: io.BufferedReader, lines: Iterable[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    told = 0
    for number, line in enumerate(lines):
        if number % BATCH == 0:
            advance(stored.tell() - told)
            told = stored.tell()
        yield line
    advance(stored.tell() - told)


def _parsed(line: bytes, path: Path, number: int) -> ScoredEvent:
    if b'"decision_id"' in line:
        raise ConfigurationError(
            f"{path}:{number}: a decision, not a scored event (one event has many); give the records of the topic "
            "`scores`, or `--scores topic:scores`"
        )
    try:
        return ScoredEvent.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{path}:{number}: not a scored event: {field + ': ' if field else ''}{one_line(first['msg'])}; "
            "give one JSON object of the topic `scores` per line"
        ) from error


@dataclass(frozen=True, slots=True)
class Truth:
    """What people say of one image: labels that hold (True) or do not (False), or a verdict."""

    labels: dict[str, bool]
    verdict: Verdict | None = None

    @property
    def unsafe(self) -> bool | None:
        """Whether it should have been kept away; None where nobody can tell.

        Safe takes every label that the file has columns for: one unknown label may be the one that matters.
        """
        if self.verdict is not None:
            return self.verdict is not Verdict.ALLOW
        if any(self.labels.values()):
            return True
        return False if self.labels and self.complete else None

    complete: bool = True


@dataclass(frozen=True, slots=True)
class Truths:
    """The truth of many images, by event id or by content hash."""

    key: str
    by_key: dict[str, Truth]

    def of(self, event: ScoredEvent) -> Truth | None:
        return self.by_key.get(getattr(event, self.key) or "")


def truths(path: Path, labels: LabelCatalogue) -> Truths:
    """Read a CSV of labels or verdicts.

    Columns: `event_id` or `content_sha256`; any labels (1, 0, or empty for unknown); or `verdict`.
    Raises ConfigurationError naming file, line and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            key, known = _columns(path, reader.fieldnames or (), labels.names)
            return Truths(key, {row[key]: _truth(path, reader.line_num, row, known) for row in reader})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def _columns(path: Path, names: Iterable[str], known: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    present = tuple(names)
    key = next((name for name in KEYS if name in present), None)
    labels = tuple(name for name in present if name in known)
    if key is None:
        raise ConfigurationError(f"{path}:1: no column {' or '.join(KEYS)}; found {', '.join(present) or 'none'}")
    if not labels and "verdict" not in present:
        near = next(filter(None, (nearest(name, known) for name in present if name != key)), "")
        raise ConfigurationError(f"{path}:1: no column is a label or `verdict`. {near}".strip())
    return key, labels


def _truth(path: Path, line: int, row: dict[str, str], labels: tuple[str, ...]) -> Truth:
    known = {}
    for label in labels:
        cell = (row.get(label) or "").strip()
        if cell not in {"", "0", "1"}:
            raise ConfigurationError(f"{path}:{line}: {label}: {cell!r} is not 1, 0 or empty (unknown)")
        if cell:
            known[label] = cell == "1"
    return Truth(known, _verdict(path, line, row.get("verdict")), complete=len(known) == len(labels))


def _verdict(path: Path, line: int, cell: str | None) -> Verdict | None:
    try:
        return Verdict(cell.strip()) if cell and cell.strip() else None
    except ValueError:
        known = ", ".join(verdict.value for verdict in Verdict)
        raise ConfigurationError(f"{path}:{line}: verdict: {cell!r} is not one of {known}") from None
