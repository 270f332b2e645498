"""A starting policy from a tier or from answers, with cases that pass."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moderation.events import Surface, Verdict
from moderation.labels import Cut, LabelCatalogue

_LOW = 0.01


@dataclass(frozen=True, slots=True)
class Answers:
    """What a new policy must know.

    labels:     the catalogue that says what a tier means.
    tiers:      one per label with tiers: the mildest risk kept away.
    undeclared: what political images get that nobody declared; None: thresholds alone decide.
    audit:      share of images marked for audit; 0 for none.
    """

    client: str
    labels: LabelCatalogue
    tiers: Mapping[str, str]
    extends: str | None = None
    description: str | None = None
    on_error: Verdict = Verdict.REVIEW
    undeclared: Verdict | None = None
    audit: float = 0.0
    version: str = "1"
    surfaces: tuple[Surface, ...] = field(default_factory=lambda: tuple(Surface))

    def cut(self, label: str) -> Cut:
        return self.labels.by_name[label].tiers[self.tiers[label]]


def policy_text(answers: Answers) -> str:
    """The policy as YAML, with comments for the people who will change it."""
    lines = [f"client: {_quoted(answers.client)}"]
    lines += [f"extends: {_quoted(answers.extends)}"] if answers.extends else []
    lines += [f'version: "{answers.version}"']
    lines += [f"description: {_quoted(answers.description)}"] if answers.description else []
    lines += ["", *_suitability(answers)]
    lines += ["", "# What could not be examined is not safe: say what it gets.", f"on_error: {answers.on_error.value}"]
    if answers.undeclared:
        lines += ["", *_political(answers)]
    if answers.audit:
        share = f"{answers.audit:g}"
        lines += ["", "# The same images are drawn for ever, whoever asks.", f"audit: {{share: {share}, answer: mark}}"]
    return "\n".join(lines) + "\n"


def cases_text(answers: Answers) -> str:
    """Cases for the policy of `policy_text`: each threshold reached and just missed, and what was not examined."""
    head = [
        "# Cases for the policy beside this file: `adjudicate policy test` runs them.",
        "# Labels that a case does not give have the score of `other`; without it they would be unscored.",
        "defaults:",
        f"  scores: {{other: {_LOW}}}",
        "  context: {declared_political: false}",
        "cases:",
    ]
    return "\n".join([*head, *(line for case in _cases(answers) for line in _case(case))]) + "\n"


def _suitability(answers: Answers) -> list[str]:
    tiers = answers.tiers
    head = "# The mildest risk that is kept away: floor, high, medium or low (the strictest)."
    if len(set(tiers.values())) == 1 and set(tiers) == set(answers.labels.tiered_names):
        return [head, f"suitability: {next(iter(tiers.values()))}"]
    return [
        head,
        "suitability:",
        *(f"  {label}: {tiers[label]}" for label in answers.labels.top_names if label in tiers),
    ]


def _political(answers: Answers) -> list[str]:
    threshold = answers.cut("political").review
    return [
        "# A picture cannot prove that an ad is political in law. What looks like it and was not declared gets the",
        "# answer below from this score on: where your tier begins to look. Raise it to be asked less often.",
        "political:",
        f"  threshold: {threshold}",
        "  declared: allow",
        f"  undeclared: {answers.undeclared.value if answers.undeclared else 'review'}",
    ]


def _cases(answers: Answers) -> Iterator[dict[str, Any]]:
    for surface in answers.surfaces:
        what = f"a {surface.value}"
        yield {"name": f"{what} without anything passes", "surface": surface.value, "expect": {"verdict": "allow"}}
        for label in answers.tiers:
            if label != "political" or not answers.undeclared:
                yield from _label_cases(what, surface, label, answers.cut(label))
    if answers.undeclared:
        yield from _political_cases(answers)
    verdict = answers.on_error.value
    expect = {"verdict": verdict, "rule": "on_error.FETCH_FAILED"}
    yield {"name": f"what cannot be fetched gets {verdict}", "status": "FETCH_FAILED", "expect": expect}


def _label_cases(what: str, surface: Surface, label: str, cut: Cut) -> Iterator[dict[str, Any]]:
    lowest = min(cut.review, cut.block)
    for verdict, limit in (("block", cut.block), ("review", cut.review)):
        if limit <= 1:
            rule = f"thresholds.{surface.value}.{label}.{verdict}"
            yield _scored(f"{what} with {label} from {limit:g} gets {verdict}", surface, label, limit, verdict, rule)
    under = round(lowest - 0.01, 4)
    yield _scored(f"{what} with {label} under {lowest:g} passes", surface, label, under, "allow", None)


def _scored(name: str, surface: Surface, label: str, score: float, verdict: str, rule: str | None) -> dict[str, Any]:
    expect = {"verdict": verdict} | ({"rule": rule} if rule else {})
    return {"name": name, "surface": surface.value, "scores": {label: score}, "expect": expect}


def _political_cases(answers: Answers) -> Iterator[dict[str, Any]]:
    cut = answers.cut("political")
    verdict = answers.undeclared.value if answers.undeclared else "review"
    for surface in answers.surfaces:
        what, score = f"a {surface.value}", cut.review
        expect = {"verdict": verdict, "rule": "political.undeclared"}
        yield {
            "name": f"{what} that looks political and is not declared gets {verdict}",
            "surface": surface.value,
            "scores": {"political": score},
            "expect": expect,
        }
        yield {
            "name": f"{what} declared as political passes",
            "surface": surface.value,
            "scores": {"political": score},
            "context": {"declared_political": True},
            "expect": {"verdict": "allow", "rule": "political.declared"},
        }
        if cut.block <= 1:
            rule = f"thresholds.{surface.value}.political.block"
            yield {
                "name": f"{what} with political from {cut.block:g} gets block, declared or not",
                "surface": surface.value,
                "scores": {"political": cut.block},
                "context": {"declared_political": True},
                "expect": {"verdict": "block", "rule": rule, "also": [f"thresholds.{surface.value}.political.review"]},
            }


def _case(case: Mapping[str, Any]) -> Iterator[str]:
    for number, (key, value) in enumerate(case.items()):
        shown = value if isinstance(value, str) and key not in {"name"} else _flow(value)
        yield f"  {'- ' if number == 0 else '  '}{key}: {shown}"


def _flow(value: Any) -> str:
    """A value in YAML's one-line form; JSON's texts and numbers are YAML's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(inner) for inner in value) + "]"
    plain = isinstance(value, str) and value.replace(".", "").replace("_", "").isalnum() and " " not in value
    return value if plain else json.dumps(value, ensure_ascii=False)


def _quoted(text: str | None) -> str:
    return json.dumps(text or "", ensure_ascii=False)
