"""A table of labelled lines: read completely, or refused with every bad row at once."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.errors import ConfigurationError
from moderation.training.data.dataset import SPLITS, ManifestError, Problem
from moderation.training.data.label_schema import Schema

REQUIRED: Final = ("text", "split", "source")


@dataclass(frozen=True, slots=True)
class Lines:
    """N labelled lines.

    text:    as it stands on an image.  split, source: `[N] str`.
    targets: `[N,L] float32`, 1, 0, or NaN where unknown.
    facts:   every other column, `[N] str`.
    """

    text: tuple[str, ...]
    split: NDArray[np.str_]
    source: NDArray[np.str_]
    targets: NDArray[np.float32]
    facts: dict[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.text)

    def take(self, rows: NDArray[np.intp]) -> "Lines":
        """The same for some rows."""
        facts = {name: values[rows] for name, values in self.facts.items()}
        text = tuple(self.text[int(row)] for row in rows)
        return Lines(text, self.split[rows], self.source[rows], self.targets[rows], facts)

    def part(self, split: str) -> "Lines":
        return self.take(np.flatnonzero(self.split == split))


def read(table: Path, schema: Schema) -> Lines:
    """Read and check a CSV with the columns `text`, `split`, `source` and those of `schema`.

    Raises ManifestError with every bad row.
    """
    rows = _rows(table, schema)
    targets = np.full((len(rows), len(schema.labels)), np.nan, np.float32)
    problems: list[Problem] = []
    for index, (line, row) in enumerate(rows):
        problems += _check(line, row)
        problems += _read_targets(line, row, schema, targets[index])
    if problems:
        raise ManifestError(table, problems)
    facts = {name: np.array([row[name] or "" for _, row in rows]) for name in rows[0][1] if name != "text"}
    return Lines(tuple(row["text"] for _, row in rows), facts["split"], facts["source"], targets, facts)


def _rows(table: Path, schema: Schema) -> list[tuple[int, dict[str, str]]]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in (*REQUIRED, *schema.columns()) if name not in (reader.fieldnames or ())]
            if missing:
                raise ManifestError(table, [Problem(1, name, "no such column") for name in missing])
            rows = [(reader.line_num, row) for row in reader]
    except OSError as exc:
        raise ConfigurationError(f"{table}: cannot be read ({exc.strerror}); name another with --manifest") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{table}: is not UTF-8 text ({exc.reason})") from exc
    if not rows:
        raise ManifestError(table, [Problem(1, "text", "no rows below the header")])
    return rows


def _check(line: int, row: dict[str, str]) -> Iterator[Problem]:
    if not (row["text"] or "").strip():
        yield Problem(line, "text", "empty")
    if row["split"] not in SPLITS:
        yield Problem(line, "split", f"{row['split']!r}: expected one of {', '.join(SPLITS)}")
    if not row["source"]:
        yield Problem(line, "source", "empty: name where the line came from")


def _read_targets(line: int, row: dict[str, str], schema: Schema, into: NDArray[np.float32]) -> Iterator[Problem]:
    for place, label in enumerate(schema.labels):
        try:
            into[place] = label.read(row)
        except ValueError as exc:
            yield Problem(line, label.cell, f"{row[label.cell]!r}: {exc}")
