"""Policies and scored events for the tests of this folder."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

from moderation.events import Decision, ModelStamp, ScoredEvent, Status, Surface
from moderation.policy import PolicySet, load
from tests.catalogue import LABELS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODEL = ModelStamp(name="brand_safety", version="3", preprocessing="squash-area-1", calibration="c1")
CLEAN: Mapping[str, float] = dict.fromkeys(LABELS, 0.01)
SHA = "ab" * 32


def write(folder: Path, **policies: str) -> Path:
    """Files by stem, each written in one go; `acme__cases` would be `acme.cases.yaml`."""
    for name, text in policies.items():
        path = folder / f"{name.replace('__', '.')}.yaml"
        half = path.with_name(f".{path.name}")
        half.write_text(dedent(text), encoding="utf-8")
        half.rename(path)
    return folder


def loaded(folder: Path, **policies: str) -> PolicySet:
    return load(write(folder, **policies))


def event(**changes: Any) -> ScoredEvent:
    """A clean creative; `scores` are laid over the clean ones, None takes a label away."""
    scores = {**CLEAN, **changes.pop("scores", {})}
    values: dict[str, Any] = {
        "event_id": "e1",
        "surface": Surface.CREATIVE,
        "status": Status.OK,
        "content_sha256": SHA,
        "scores": {label: score for label, score in scores.items() if score is not None},
        "uncertainty": 0.1,
        "model": MODEL,
        "scored_at": NOW,
    }
    if changes.get("status", Status.OK) is not Status.OK:
        values |= {"scores": {}, "uncertainty": None, "model": None}
    return ScoredEvent.model_validate({**values, **changes})


def decide(policies: PolicySet, **changes: Any) -> Decision:
    """The one live decision on one event."""
    live = [d for d in policies.decide([event(**changes)], changes.pop("now", NOW))[0] if not d.shadow]
    assert len(live) == 1
    return live[0]


def rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons]
