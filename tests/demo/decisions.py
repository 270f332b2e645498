"""Decisions as the decide stage writes them, for tests of what shows them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from moderation.events import (
    Decision,
    ModelStamp,
    PolicyStamp,
    Reason,
    Status,
    Surface,
    Verdict,
    decision_id,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MODEL = ModelStamp(name="brand_safety", version="7", preprocessing="squash-area-1")
POLICY_HASH = "ab" * 32


def reason(verdict: Verdict, label: str = "violence", score: float = 0.83, threshold: float = 0.6) -> Reason:
    return Reason(
        rule=f"thresholds.creative.{label}.{verdict.value}",
        verdict=verdict,
        label=label,
        score=score,
        threshold=threshold,
        would_pass=f"{label} < {threshold:.2f}",
    )


def decision(
    event_id: str,
    client: str,
    verdict: Verdict,
    reasons: Sequence[Reason] = (),
    status: Status = Status.OK,
    shadow: bool = False,
) -> Decision:
    scores = {"violence": 0.83, "violence.weapon": 0.7, "adult": 0.02, "political": 0.11}
    return Decision(
        decision_id=decision_id(event_id, client, POLICY_HASH),
        event_id=event_id,
        client=client,
        surface=Surface.CREATIVE,
        verdict=verdict,
        reasons=tuple(reasons),
        status=status,
        policy=PolicyStamp(client=client, version="3", hash=POLICY_HASH),
        model=MODEL if status is Status.OK else None,
        scores=scores if status is Status.OK else {},
        uncertainty=0.2 if status is Status.OK else None,
        scored_at=NOW,
        decided_at=NOW,
        shadow=shadow,
    )
