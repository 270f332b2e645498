"""Cases for a starting policy: each threshold in force reached and just missed, and what was not examined.

They are made from the effective policy, so what is inherited is tested too. Clock and country are pinned: the
cases answer the same next year, and in a market that gets separate rules.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from moderation.events import Surface, Verdict
from moderation.labels import Label, top_label
from moderation.policy.compile.effective import EffectivePolicy, Limits
from moderation.policy.language.schema import NEVER, PolicyFile

_LOW: Final = 0.01
_STEP: Final = 0.01
"""How far below a threshold a case just misses it."""
_COUNTRIES: Final = ("DE", "FR", "GB", "US", "ES", "IT", "NL", "PL", "SE", "CA", "AU", "JP", "BR", "IN", "ZA", "CH")
Case = dict[str, Any]


def cases_text(policy: EffectivePolicy, now: datetime) -> str:
    """The cases file of a policy that has thresholds, a political section and `on_error`, but no rules."""
    head = [
        "# Cases for the policy beside this file: `adjudicate policy test` runs them.",
        "# Labels that a case does not give have the score of `other`; without it they would be unscored.",
        "# They are decided at `now`, in a country that the policy has no rules of its own for.",
        "defaults:",
        f"  now: {_pinned_clock(policy.settings, now):%Y-%m-%dT%H:%M:%SZ}",
        f"  scores: {{other: {_LOW}}}",
        f"  context: {_flow(_context(policy))}",
        "cases:",
    ]
    return "\n".join([*head, *(line for case in _cases(policy) for line in _case_lines(case))]) + "\n"


def _context(policy: EffectivePolicy) -> dict[str, Any]:
    campaign = {"campaign": policy.campaign} if policy.campaign else {}
    return {"declared_political": False, "country": plain_country(policy.settings), **campaign}


def plain_country(settings: PolicyFile) -> str:
    """A country without a market, a political answer or a blackout."""
    political = settings.political
    special = {*settings.markets, *(political.countries if political else ())}
    for window in political.blackouts.values() if political else ():
        special.update(window.countries)
    return next((country for country in _COUNTRIES if country not in special), _COUNTRIES[0])


def _pinned_clock(settings: PolicyFile, now: datetime) -> datetime:
    """The present, or the first moment at which the policy is valid."""
    return max(now, settings.valid_from) if settings.valid_from else now


def _cases(policy: EffectivePolicy) -> Iterator[Case]:
    country, political = plain_country(policy.settings), policy.settings.political
    for surface in policy.settings.applies_to.surfaces or tuple(Surface):
        limits = policy.limits_at(surface, country)
        yield {"name": f"a {surface} without anything passes", "surface": surface.value, "expect": _expect("allow")}
        for label in dict.fromkeys(label for label, _ in limits):
            if not (top_label(label) == "political" and political):
                yield from _label_cases(surface, policy.labels.by_name[label], limits)
        if political and political.threshold is not None and political.threshold < NEVER:
            yield from _political_cases(policy, surface, limits)
    verdict = (policy.settings.on_error or Verdict.REVIEW).value
    expect = _expect(verdict, "on_error.FETCH_FAILED")
    yield {"name": f"what cannot be fetched gets {verdict}", "status": "FETCH_FAILED", "expect": expect}


def _label_cases(surface: Surface, label: Label, limits: Limits) -> Iterator[Case]:
    """A score of a part is one of its label too, so the label's thresholds answer beside its own."""
    asked = {key: limit for key, limit in limits.items() if key[0] in {label.name, *label.wholes}}
    for verdict in (Verdict.BLOCK, Verdict.REVIEW):
        if own := asked.get((label.name, verdict)):
            answer, decides = next((v, each) for (_, v), each in asked.items() if each.threshold <= own.threshold)
            name = f"a {surface} with {label.name} from {own.threshold:g} gets {answer}"
            name += "" if answer is verdict else f" (its own limit says {verdict})"
            also = {} if decides is own else {"also": [own.rule]}
            yield _scored(name, surface, label.name, own.threshold, _expect(answer.value, decides.rule) | also)
    lowest = min(limit.threshold for limit in asked.values())
    if lowest > _STEP:
        name = f"a {surface} with {label.name} under {lowest:g} passes"
        yield _scored(name, surface, label.name, round(lowest - _STEP, 4), _expect("allow"))


def _political_cases(policy: EffectivePolicy, surface: Surface, limits: Limits) -> Iterator[Case]:
    """Undeclared, declared, and so political that declaring does not help."""
    political = policy.settings.political
    assert political is not None  # noqa: S101 - the caller looked
    assert political.threshold is not None  # noqa: S101 - as above
    block, review = (limits.get(("political", verdict)) for verdict in (Verdict.BLOCK, Verdict.REVIEW))
    verdict, declared = political.undeclared or Verdict.REVIEW, political.declared or Verdict.ALLOW
    score = political.threshold
    name = f"a {surface} that looks political and is not declared gets {verdict}"
    yield _scored(name, surface, "political", score, _expect(verdict.value, "political.undeclared"))
    name = f"a {surface} declared as political gets {declared}"
    yield _declared(name, surface, score, _expect(declared.value, "political.declared"))
    if block and declared is not Verdict.BLOCK:
        also = [review.rule] if review else []
        name = f"a {surface} with political from {block.threshold:g} gets block, declared or not"
        yield _declared(name, surface, block.threshold, _expect("block", block.rule) | ({"also": also} if also else {}))


def _expect(verdict: str, rule: str | None = None) -> Case:
    return {"verdict": verdict} | ({"rule": rule} if rule else {})


def _scored(name: str, surface: Surface, label: str, score: float, expect: Case) -> Case:
    return {"name": name, "surface": surface.value, "scores": {label: score}, "expect": expect}


def _declared(name: str, surface: Surface, score: float, expect: Case) -> Case:
    return _scored(name, surface, "political", score, expect) | {"context": {"declared_political": True}}


def _case_lines(case: Mapping[str, Any]) -> Iterator[str]:
    keys = ("name", "surface", "status", "scores", "context", "expect")
    for number, key in enumerate(key for key in keys if key in case):
        value = case[key]
        shown = value if isinstance(value, str) and key != "name" else _flow(value)
        yield f"  {'- ' if number == 0 else '  '}{key}: {shown}"


def _flow(value: Any) -> str:
    """A value in YAML's one-line form; JSON's texts and numbers are YAML's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(inner) for inner in value) + "]"
    plain = isinstance(value, str) and value.replace(".", "").replace("_", "").isalpha() and len(value) > 3  # noqa: PLR2004
    return value if plain else json.dumps(value, ensure_ascii=False)
