"""Policies and scored events: the one place where tests make them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

from moderation.events import AdContext, Decision, ScoredEvent, Status, Surface
from moderation.policy import PolicySet, load
from tests.catalogue import LABELS
from tests.evidence import STAMP, image_evidence

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODEL = STAMP
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


def event(event_id: str = "e1", scores: Mapping[str, float | None] | None = None, **changes: Any) -> ScoredEvent:
    """A clean creative. `scores` are laid over the clean ones, None takes a label away; context fields may stand
    by themselves."""
    named = {name: changes.pop(name) for name in AdContext.model_fields if name in changes}
    values: dict[str, Any] = {
        "event_id": event_id,
        "surface": Surface.CREATIVE,
        "context": {**changes.pop("context", {}), **named},
        "status": Status.OK,
        "content_sha256": SHA,
        "scored_at": NOW,
    }
    found = {label: score for label, score in {**CLEAN, **(scores or {})}.items() if score is not None}
    image = image_evidence(found, uncertainty=changes.pop("uncertainty", 0.1), stamp=MODEL)
    values["evidence"] = (image,) if changes.get("status", Status.OK) is Status.OK else ()
    return ScoredEvent.model_validate({**values, **changes})


def decide(policies: PolicySet, **changes: Any) -> Decision:
    """The one live decision on one event."""
    live = [d for d in policies.decide([event(**changes)], changes.pop("now", NOW))[0] if not d.shadow]
    assert len(live) == 1
    return live[0]


def rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons]
