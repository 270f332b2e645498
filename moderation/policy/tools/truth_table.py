"""Truth of images, from a CSV file of labels or verdicts as spreadsheets write it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moderation.errors import ConfigurationError
from moderation.events import ScoredEvent, Verdict
from moderation.labels import LabelCatalogue
from moderation.policy.language.hints.labels import label_hint
from moderation.policy.language.hints.words import verdict_hint

KEYS: Final = ("event_id", "content_sha256")
_SEPARATORS: Final = (",", ";", "\t", "|")
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_VERDICT: Final = "verdict"


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of one image: labels that hold (True) or do not (False), or a verdict."""

    labels: dict[str, bool]
    verdict: Verdict | None = None
    complete: bool = True

    @property
    def unsafe(self) -> bool | None:
        """Whether it should have been kept away; None where that is unknown.

        Safe takes every label that the file has columns for: one unknown label may be the one that matters.
        """
        if self.verdict is not None:
            return self.verdict is not Verdict.ALLOW
        if any(self.labels.values()):
            return True
        return False if self.labels and self.complete else None

    @property
    def held(self) -> list[str]:
        """Labels that the image carries."""
        return [label for label, holds in self.labels.items() if holds]


@dataclass(frozen=True, slots=True)
class Truths:
    """The truth of many images, by event id or by content hash.

    unread: columns that mean nothing here.
    known:  labels that a column may be named after.
    """

    key: str
    by_key: dict[str, Truth]
    unread: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    def of(self, event: ScoredEvent) -> Truth | None:
        return self.by_key.get(getattr(event, self.key) or "")

    @property
    def unread_notes(self) -> list[str]:
        """Each unknown column, with the label that it may have meant."""
        hints = {column: label_hint(column, self.known) for column in self.unread}
        return [f"'{column}'" + (f" ({hint})" if hint else "") for column, hint in hints.items()]


@dataclass(frozen=True, slots=True)
class _Columns:
    key: str
    labels: tuple[str, ...]
    unread: tuple[str, ...]


def read_truths(path: Path, labels: LabelCatalogue) -> Truths:
    """Read a CSV of labels or verdicts, separated by comma, semicolon, tab or bar, in UTF-8 or UTF-16.

    Columns: `event_id` or `content_sha256`; any labels (1, 0, or empty for unknown); or `verdict`.
    Raises ConfigurationError naming file, line and column.
    """
    try:
        text = _text(path)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_separator(text))
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        columns = _columns(path, reader.fieldnames, labels.names)
        by_key = {(row[columns.key] or "").strip(): _truth(path, reader.line_num, row, columns) for row in reader}
    except (OSError, UnicodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    return Truths(columns.key, by_key, columns.unread, labels.names)


def _text(path: Path) -> str:
    """Spreadsheets write a byte-order mark, and "Unicode text" is UTF-16."""
    data = path.read_bytes()
    return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")


def _separator(text: str) -> str:
    """The separator that the header line has most of."""
    header = text.lstrip("\r\n").partition("\n")[0]
    return max(_SEPARATORS, key=header.count)


def _columns(path: Path, present: Sequence[str], known: tuple[str, ...]) -> _Columns:
    key = next((name for name in KEYS if name in present), None)
    labels = tuple(name for name in present if name in known)
    if key is None:
        raise ConfigurationError(f"{path}:1: no column {' or '.join(KEYS)}; found {', '.join(present) or 'none'}")
    unread = tuple(name for name in present if name and name not in {*KEYS, *labels, _VERDICT})
    if not labels and _VERDICT not in present:
        near = next(filter(None, (label_hint(name, known) for name in unread)), "")
        raise ConfigurationError(f"{path}:1: no column is a label or `verdict`. {near}".strip())
    return _Columns(key, labels, unread)


def _truth(path: Path, line: int, row: dict[str, str], columns: _Columns) -> Truth:
    known = {}
    for label in columns.labels:
        cell = (row.get(label) or "").strip()
        if cell not in {"", "0", "1"}:
            raise ConfigurationError(f"{path}:{line}: {label}: {cell!r} is not 1, 0 or empty (unknown)")
        if cell:
            known[label] = cell == "1"
    return Truth(known, _verdict(path, line, row.get(_VERDICT)), complete=len(known) == len(columns.labels))


def _verdict(path: Path, line: int, cell: str | None) -> Verdict | None:
    word = (cell or "").strip()
    try:
        return Verdict(word.lower()) if word else None
    except ValueError:
        known = tuple(verdict.value for verdict in Verdict)
        hint = verdict_hint(word, known)
        said = f"{path}:{line}: verdict: {cell!r} is not one of {', '.join(known)}"
        raise ConfigurationError(f"{said}; {hint}" if hint else said) from None
