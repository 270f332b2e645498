"""What a policy means, written again: plainly, slowly, from the file as written, sharing no code with the engine.

Knows what the property tests draw: one file per client, no inheritance. Gives the verdict and the names of the
rules that fire.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moderation.events import ScoredEvent

TIERS: Mapping[str, Mapping[str, tuple[float, float | None]]] = {
    "floor": {"violence": (0.85, 0.95), "adult": (0.80, 0.95), "political": (0.90, None)},
    "high": {"violence": (0.70, 0.90), "adult": (0.60, 0.85), "political": (0.80, 0.95)},
    "medium": {"violence": (0.45, 0.75), "adult": (0.40, 0.70), "political": (0.60, 0.90)},
    "low": {"violence": (0.25, 0.50), "adult": (0.20, 0.50), "political": (0.35, 0.70)},
}
ANNOUNCED = {"violence.blood", "adult.explicit", "adult.suggestive", "political.symbol"}
RANK = {"allow": 0, "review": 1, "block": 2}
EXPRESSIONS: Mapping[str, Callable[[ScoredEvent], bool]] = {
    "scores.violence >= 0.3": lambda e: scores_of(e)["violence"] >= 0.3,
    'country == "NO" && surface == "page"': lambda e: e.context.country == "NO" and e.surface == "page",
    'cat[0] == "386"': lambda e: e.context.cat[0] == "386",
}
NEEDS_SCORES = {"scores.violence >= 0.3"}


def thresholds(
    policy: Mapping[str, Any], surface: str, country: str | None
) -> dict[tuple[str, str], tuple[str, float]]:
    """(label, verdict) → (rule, threshold), the most specific place last."""
    market = policy.get("markets", {}).get(country or "", {})
    layers = [("", policy), ("", policy.get("surfaces", {}).get(surface, {}))]
    layers += [(f"markets.{country}.", market), (f"markets.{country}.", market.get("surfaces", {}).get(surface, {}))]
    found: dict[tuple[str, str], tuple[str, float | None]] = {}
    for prefix, layer in layers:
        written: dict[tuple[str, str], float | None] = {}
        for label, tier in layer.get("suitability", {}).items():
            written[label, "review"], written[label, "block"] = TIERS[tier][label]
        for label, cut in layer.get("thresholds", {}).items():
            for verdict, number in cut.items():
                written[label, verdict] = None if number == "never" else number
        for (label, verdict), number in written.items():
            found[label, verdict] = (f"{prefix}thresholds.{surface}.{label}.{verdict}", number)
    return {key: (rule, number) for key, (rule, number) in found.items() if number is not None}


def scores_of(event: ScoredEvent) -> dict[str, float]:
    """The image model's scores; a label is at least its largest part."""
    scores = {label: score for each in event.evidence if each.source == "image" for label, score in each.scores.items()}
    parts = {label: [s for part, s in scores.items() if part.startswith(f"{label}.")] for label in scores}
    return {label: max(score, *parts[label], 0.0) for label, score in scores.items()}


def decide(policy: Mapping[str, Any], event: ScoredEvent, now: datetime) -> tuple[str, list[str]]:
    """The verdict and, sorted, every rule that fires."""
    examined = event.status.value == "OK"
    fired: list[tuple[str, str, str]] = []  # rule, verdict, what may lift it or what it lifts
    fired += _guards(policy, event, now, examined)
    fired += _lists(policy, event)
    fired += _rules(policy, event, examined)
    fired += _political(policy, event, now, examined)
    if examined:
        limits = thresholds(policy, event.surface.value, event.context.country)
        for (label, verdict), (rule, number) in limits.items():
            if scores_of(event).get(label, -1.0) >= number:
                fired.append((rule, verdict, "political" if label.startswith("political") else "score"))
        limit = policy.get("uncertainty", "never")
        if limit != "never" and (event.uncertainty is None or event.uncertainty >= limit):
            answer = policy.get("on_uncertain", "review")
            fired.append(("on_uncertain", answer, "score" if event.uncertainty is not None else ""))
    standing = [verdict for _, verdict, kind in fired if verdict != "allow" and not _lifted(verdict, kind, fired)]
    return max(standing, key=RANK.__getitem__, default="allow"), sorted(rule for rule, _, _ in fired)


def _lifted(verdict: str, kind: str, fired: list[tuple[str, str, str]]) -> bool:
    for _, answer, power in fired:
        if answer != "allow" or kind not in {"score", "political"}:
            continue
        if power == "seen" or (power == "trust" and verdict == "review"):
            return True
        if power == "declared" and verdict == "review" and kind == "political":
            return True
    return False


def _guards(policy: Mapping[str, Any], event: ScoredEvent, now: datetime, examined: bool) -> list[tuple[str, str, str]]:
    fired = []
    if not examined:
        fired.append((f"on_error.{event.status.value}", policy.get("on_error", "review"), ""))
    else:
        named = {label for label, _ in thresholds(policy, event.surface.value, event.context.country)}
        if _political_threshold(policy, event) is not None:
            named.add("political")
        missing = [label for label in named - ANNOUNCED if label not in scores_of(event)]
        failed = [each.status.value for each in event.evidence if each.source == "image" and each.status.value != "OK"]
        reads = any(rule["when"] in NEEDS_SCORES for rule in policy.get("rules", {}).values())
        unread = reads and "violence" not in scores_of(event)
        if (missing or unread) and failed:
            fired.append((f"on_error.{failed[0]}", policy.get("on_error", "review"), ""))
        else:
            fired += [("on_missing_label", policy.get("on_missing_label", "review"), "") for _ in missing]
        if "max_score_age_days" in policy and now - event.scored_at > timedelta(days=policy["max_score_age_days"]):
            fired.append(("on_expired.scores", policy.get("on_expired", "review"), ""))
    if "valid_until" in policy and now > _end(policy["valid_until"]):
        fired.append(("on_expired.policy", policy.get("on_expired", "review"), ""))
    return fired


def _end(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=24, microseconds=-1)


def _lists(policy: Mapping[str, Any], event: ScoredEvent) -> list[tuple[str, str, str]]:
    fired = []
    for verdict, kinds in policy.get("lists", {}).items():
        for kind, entries in kinds.items():
            if _listed(kind, entries, event, every=verdict == "allow"):
                power = "" if verdict != "allow" else "seen" if kind == "content_sha256" else "trust"
                fired.append((f"lists.{verdict}.{kind}", verdict, power))
    return fired


def _listed(kind: str, entries: list[str], event: ScoredEvent, *, every: bool) -> bool:
    if kind == "crid":
        return event.context.crid in entries
    if kind == "content_sha256":
        return event.content_sha256 in entries
    values = list(event.context.adomain) if kind == "adomain" else [event.context.domain] * bool(event.context.domain)
    known = [any(v == e or str(v).endswith("." + e) for e in entries) for v in values]
    return bool(known) and (all(known) if every else any(known))


def _rules(policy: Mapping[str, Any], event: ScoredEvent, examined: bool) -> list[tuple[str, str, str]]:
    fired = []
    for name, rule in policy.get("rules", {}).items():
        if rule["when"] in NEEDS_SCORES and not examined:
            continue
        try:
            if EXPRESSIONS[rule["when"]](event):
                fired.append((f"rules.{name}", rule["verdict"], "trust" if rule["verdict"] == "allow" else ""))
        except LookupError:
            answer = policy.get("on_error", "review")
            fired.append((f"on_error.rules.{name}", "review" if answer == "allow" else answer, ""))
    return fired


def _says_anything(section: Any) -> bool:
    """An empty section says nothing, as if it were not there."""
    return any(map(_says_anything, section.values())) if isinstance(section, dict) else section is not None


def _political_threshold(policy: Mapping[str, Any], event: ScoredEvent) -> float | None:
    political = policy.get("political", {})
    local = political.get("countries", {}).get(event.context.country or "", {})
    number = local.get("threshold", political.get("threshold"))
    return None if number == "never" else number


def _political(
    policy: Mapping[str, Any], event: ScoredEvent, now: datetime, examined: bool
) -> list[tuple[str, str, str]]:
    if not _says_anything(policy.get("political")):
        return []
    political, context = policy["political"], event.context
    declared = bool(context.declared_political) or (context.cattax == 8 and "1474" in context.cat)
    doubtful = not declared and bool(context.cat)  # 386 is no id of cattax 8, and neither is one of cattax 1
    threshold = _political_threshold(policy, event)
    seen = examined and threshold is not None and scores_of(event).get("political", -1.0) >= threshold
    local = political.get("countries", {}).get(context.country or "", {})
    says = {
        "declared": local.get("declared", political.get("declared", "allow")),
        "undeclared": local.get("undeclared", political.get("undeclared", "review")) if seen else "allow",
    }
    blackouts = [
        window.get("verdict", "block") if context.country else "review"
        for window in political.get("blackouts", {}).values()
        if datetime.fromisoformat(window["from"]).replace(tzinfo=UTC) <= now <= _end(window["until"])
        and (context.country is None or context.country in window["countries"])
    ]
    fired = []
    known = max((says["undeclared"], *blackouts), key=RANK.__getitem__) if seen else "allow"
    if doubtful and RANK[max((says["declared"], *blackouts), key=RANK.__getitem__)] > RANK[known]:
        fired.append(("incomparable.cat", "review", ""))
    if not (declared or seen):
        return fired
    for name, window in political.get("blackouts", {}).items():
        inside = datetime.fromisoformat(window["from"]).replace(tzinfo=UTC) <= now <= _end(window["until"])
        if inside and context.country in window["countries"]:
            fired.append((f"political.blackouts.{name}", window.get("verdict", "block"), ""))
        elif inside and context.country is None:
            fired.append((f"political.blackouts.{name}", "review", ""))
    kind = "declared" if declared else "undeclared"
    answer = says[kind]
    fired.append((f"political.{kind}", answer, "declared" if answer == "allow" else ""))
    return fired
