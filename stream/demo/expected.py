"""The expected answer on an image whose content is known: what each policy says if every label is scored right."""

import csv
import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from moderation.errors import ConfigurationError
from moderation.events import ImageEvent, Verdict
from moderation.labels import LabelCatalogue, top_label
from moderation.policy import PolicySet
from stream.kafka import Record
from stream.parse import parse_scored_event

FILE: Final = "expected.csv"
"""Beside the images of `--images`: `path`, and `labels` separated by spaces, empty where the image shows none."""

_MODEL: Final = {"name": "expected", "version": "1", "preprocessing": "none"}


def expected_verdicts(policies: PolicySet, event: ImageEvent, shown: Collection[str]) -> dict[str, Verdict]:
    """Client → the verdict of its policy, if what the image shows is scored 1 and everything else 0."""
    now = datetime.now(UTC)
    scored = {
        **event.model_dump(mode="json", include={"event_id", "surface", "clients", "context"}),
        "schema_version": 1,
        "status": "OK",
        "scores": _right_scores(policies.labels, shown),
        "uncertainty": 0.0,
        "model": _MODEL,
        "scored_at": now.isoformat(),
    }
    record = Record("expected", 0, 0, None, json.dumps(scored).encode())
    decisions = policies.decide([parse_scored_event(record)], now)[0]
    return {decision.client: decision.verdict for decision in decisions if not decision.shadow}


def _right_scores(labels: LabelCatalogue, shown: Collection[str]) -> dict[str, float]:
    true = {*shown, *map(top_label, shown)}
    return {name: float(name in true) for name in labels.names if name not in labels.announced_names}


def read_expected(folder: Path, labels: LabelCatalogue) -> Mapping[str, tuple[str, ...]]:
    """Path → the labels that the image shows, from `expected.csv`; empty where there is none.

    Raises ConfigurationError with the line of the first mistake.
    """
    file = folder / FILE
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        if not {"path", "labels"} <= set(reader.fieldnames or ()):
            raise ConfigurationError(f"{file}: the first line names the columns: path,labels")
        return dict(_row(row, f"{file}:{reader.line_num}", labels) for row in reader)


def _row(row: Mapping[str, str | None], place: str, labels: LabelCatalogue) -> tuple[str, tuple[str, ...]]:
    shown = tuple((row["labels"] or "").split())
    if unknown := [label for label in shown if label not in labels.names]:
        raise ConfigurationError(f"{place}: no label {unknown[0]!r}; labels are {', '.join(labels.names)}")
    return row["path"] or "", shown
