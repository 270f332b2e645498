"""A decision in words and numbers for people: the rule, the label behind it, and how close it was."""

from typing import NamedTuple

from moderation.events import Decision, Reason, Status, Verdict, one_line


class Evidence(NamedTuple):
    """The label that decided the verdict, or for an allow without one the highest label."""

    label: str
    score: float
    threshold: float | None


def deciding(decision: Decision) -> Reason | None:
    return decision.reasons[0] if decision.reasons else None


def rule(decision: Decision) -> str:
    """The rule behind the verdict; a dash where none fired."""
    reason = deciding(decision)
    return reason.rule if reason else "–"


def evidence(decision: Decision) -> Evidence | None:
    reason = deciding(decision)
    if reason and reason.label and reason.score is not None:
        return Evidence(reason.label, reason.score, reason.threshold)
    if decision.verdict is Verdict.ALLOW and decision.scores:
        label = max(decision.scores, key=decision.scores.__getitem__)
        return Evidence(label, decision.scores[label], None)
    return None


def why(decision: Decision) -> str:
    """One sentence for people."""
    reason = deciding(decision)
    if reason is None:
        return "No rule fired."
    if decision.status is not Status.OK:
        return f"Not examined ({decision.status.value}). {one_line(reason.detail or '')}".strip()
    return " ".join(filter(None, (_comparison(reason), one_line(reason.detail or ""))))


def _comparison(reason: Reason) -> str:
    if reason.label is None or reason.score is None or reason.threshold is None:
        return ""
    side = "reached" if reason.score >= reason.threshold else "stayed under"
    return f"{reason.label} {reason.score:.2f} {side} {reason.threshold:.2f}."


def outcome(decision: Decision) -> str:
    """The text in place of a label: the status where the image was not examined."""
    return "" if decision.status is Status.OK else decision.status.value
