"""Recordings of scored events and their truth, made up but always the same."""

import csv
import gzip
import random
from collections.abc import Iterable
from pathlib import Path

from moderation.events import ScoredEvent, Status, Surface
from moderation.labels import top_label
from tests.catalogue import LABELS, TOP_LABELS
from tests.policy.making import event


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
        scores = {label: min(score, scores[top_label(label)]) for label, score in scores.items()}
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
