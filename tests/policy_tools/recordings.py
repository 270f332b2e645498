"""Scored events and their truth, made up but always the same."""

import csv
import gzip
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moderation.events import AdContext, ModelStamp, ScoredEvent, Status, Surface
from moderation.labels import top_label
from tests.catalogue import LABELS, TOP_LABELS

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MODEL = ModelStamp(name="m", version="1", preprocessing="p")


def event(event_id: str = "e0", scores: Mapping[str, float] | None = None, **fields: Any) -> ScoredEvent:
    """An event of which every label is scored 0.01 but those given."""
    status = fields.pop("status", Status.OK)
    every = {**dict.fromkeys(LABELS, 0.01), **(scores or {})} if status is Status.OK else {}
    context = {name: fields.pop(name) for name in list(fields) if name in AdContext.model_fields}
    return ScoredEvent(
        event_id=event_id,
        surface=fields.pop("surface", Surface.CREATIVE),
        status=status,
        scores=every,
        uncertainty=fields.pop("uncertainty", 0.0 if status is Status.OK else None),
        model=MODEL,
        context=AdContext.model_validate(context),
        scored_at=NOW,
        **fields,
    )


def recording(count: int = 400, seed: int = 7) -> tuple[list[ScoredEvent], list[dict[str, str]]]:
    """Events whose scores go with their truth, and the truth: label → "1", "0" or "" (unknown)."""
    chance = random.Random(seed)
    events, labels = [], []
    for number in range(count):
        holds = {label: chance.random() < 0.15 for label in TOP_LABELS}
        scores = {
            label: round(chance.betavariate(6, 2) if holds[top_label(label)] else chance.betavariate(1, 12), 3)
            for label in LABELS
        }
        status = Status.FETCH_FAILED if chance.random() < 0.03 else Status.OK
        context = {"crid": f"c{number % 9}", "impressions": chance.choice([None, 10, 1000, 50_000])}
        surface = chance.choice(list(Surface))
        events.append(event(f"e{number}", scores, status=status, surface=surface, **context))
        known = {label: str(int(held)) if chance.random() < 0.95 else "" for label, held in holds.items()}
        labels.append({"event_id": f"e{number}", **known})
    return events, labels


def write_scores(path: Path, events: Iterable[ScoredEvent]) -> Path:
    text = "".join(event.model_dump_json() + "\n" for event in events)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text, "utf-8")
    return path


def write_labels(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
