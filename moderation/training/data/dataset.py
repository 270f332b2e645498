"""A folder of images and a manifest: read completely, or refused with every bad row at once."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.errors import ConfigurationError
from moderation.training.data.label_schema import Schema

SPLITS: Final = ("train", "val", "test")
REQUIRED: Final = ("path", "split", "source")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a manifest; `line` counts from 1, the header being line 1."""

    line: int
    column: str
    detail: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: {self.detail}"


class ManifestError(ConfigurationError):
    """A manifest with mistakes; `problems` holds all of them and nothing was trained."""

    def __init__(self, manifest: Path, problems: list[Problem]) -> None:
        listing = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{manifest}: {len(problems)} mistakes, nothing was done\n{listing}")
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Dataset:
    """N labelled images.

    paths:   absolute, in the order of the manifest.
    split:   `[N] str`, one of SPLITS.  source: `[N] str`, where an image came from.
    targets: `[N,L] float32` in 0..1 in the schema's order, NaN where unknown.
    facts:   every other column of the manifest, `[N] str`, for slices.
    """

    paths: tuple[Path, ...]
    split: NDArray[np.str_]
    source: NDArray[np.str_]
    targets: NDArray[np.float32]
    facts: dict[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: NDArray[np.intp]) -> "Dataset":
        """The same for some rows."""
        return Dataset(
            tuple(self.paths[int(row)] for row in rows),
            self.split[rows],
            self.source[rows],
            self.targets[rows],
            {name: values[rows] for name, values in self.facts.items()},
        )


def read(manifest: Path, schema: Schema) -> Dataset:
    """Read and check `manifest`; image paths are relative to its folder.

    Raises ManifestError with every missing file, bad value and duplicate of every row.
    """
    rows = _rows(manifest, schema)
    problems: list[Problem] = []
    targets = np.full((len(rows), len(schema.labels)), np.nan, np.float32)
    seen: dict[str, int] = {}
    for index, (line, row) in enumerate(rows):
        problems += _check_place(line, row, manifest.parent, seen)
        problems += _read_targets(line, row, schema, targets[index])
    if problems:
        raise ManifestError(manifest, sorted(problems, key=lambda problem: problem.line))
    return _dataset(manifest, [row for _, row in rows], targets)


def _rows(manifest: Path, schema: Schema) -> list[tuple[int, dict[str, str]]]:
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or ()
            missing = [name for name in (*REQUIRED, *schema.columns()) if name not in header]
            if missing:
                raise ManifestError(manifest, [Problem(1, name, "no such column") for name in missing])
            rows = [(reader.line_num, row) for row in reader]
    except OSError as exc:
        raise ConfigurationError(f"{manifest}: cannot be read ({exc.strerror}); name another with --manifest") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{manifest}: is not UTF-8 text ({exc.reason})") from exc
    if not rows:
        raise ManifestError(manifest, [Problem(1, "path", "no rows below the header")])
    return rows


def _check_place(line: int, row: Mapping[str, str], folder: Path, seen: dict[str, int]) -> Iterator[Problem]:
    path = row["path"] or ""
    if not path or not (folder / path).is_file():
        yield Problem(line, "path", f"no such file: {path or '(empty)'}")
    if path in seen:
        yield Problem(line, "path", f"duplicate of line {seen[path]}: {path}")
    seen.setdefault(path, line)
    if row["split"] not in SPLITS:
        yield Problem(line, "split", f"{row['split']!r}: expected one of {', '.join(SPLITS)}")
    if not row["source"]:
        yield Problem(line, "source", "empty: name where the image came from")


def _read_targets(line: int, row: Mapping[str, str], schema: Schema, into: NDArray[np.float32]) -> Iterator[Problem]:
    told: set[tuple[str, str]] = set()
    for place, label in enumerate(schema.labels):
        try:
            into[place] = label.read(row)
        except ValueError as exc:
            if (label.cell, str(exc)) not in told:
                yield Problem(line, label.cell, f"{row[label.cell]!r}: {exc}")
            told.add((label.cell, str(exc)))
    for group, members in schema.groups().items():
        if (into[list(members)] == 1).sum() > 1:
            yield Problem(line, group, "more than one label of an exclusive group is 1")


def _dataset(manifest: Path, rows: list[dict[str, str]], targets: NDArray[np.float32]) -> Dataset:
    facts = {name: np.array([row[name] or "" for row in rows]) for name in rows[0]}
    return Dataset(
        paths=tuple((manifest.parent / row["path"]).absolute() for row in rows),
        split=facts["split"],
        source=facts["source"],
        targets=targets,
        facts=facts,
    )
