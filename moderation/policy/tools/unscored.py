"""Warnings of labels that a policy names and a model does not score.

A policy may be right and still answer every image alike: a label without a score is missing, and `on_missing_label`
answers. Only the effective policy knows, so a line of an organisation is reported with the clients it concerns.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from moderation.errors import ConfigurationError
from moderation.events import Surface, Verdict
from moderation.evidence.contract import IMAGE
from moderation.policy.compile.effective import EffectivePolicy, Origin

LABELS_FILE: Final = "labels.txt"
_WAITS: Final = "nothing yet: the label is announced, and counts once a model scores it"
_REMOVE: Final = "remove it until a model scores it, or set on_missing_label"
_LEAVE: Final = "leave it: scores of the label will count from then on"


@dataclass(frozen=True, slots=True)
class PolicyWarning:
    """A probable slip that is no mistake: its place, and its effect."""

    file: str
    line: int
    problem: str
    effect: str
    hint: str

    def render(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"warning: {place}: {self.problem}\n  effect: {self.effect}\n  hint: {self.hint}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class _Use(NamedTuple):
    """One place that names a label: where it was written, what follows where the label has no score, the remedy."""

    origin: Origin
    label: str
    effect: str
    hint: str


def warn_unscored(policies: Iterable[EffectivePolicy], scored: Collection[str], model: str) -> list[PolicyWarning]:
    """One warning for each line and label that is not scored, with the clients it concerns.

    model: names the model in the message.
    """
    keys: dict[_Use, list[str]] = {}
    for policy in policies:
        for use in dict.fromkeys(_uses(policy, scored)):
            keys.setdefault(use, []).append(policy.key)
    found = [_warning(use, clients, model) for use, clients in keys.items()]
    return sorted(found, key=lambda warning: (warning.file, warning.line, warning.problem, warning.effect))


def labels_of_model(place: Path) -> dict[str, tuple[str, ...]]:
    """Labels by model: of a labels file, a model's folder, or a repository of models. Raises ConfigurationError."""
    files = [place] if place.is_file() else sorted([*place.glob(LABELS_FILE), *place.glob(f"*/{LABELS_FILE}")])
    if not files:
        raise ConfigurationError(
            f"--model {place}: no {LABELS_FILE} there; give one, a model's folder, a model repository, or `triton`"
        )
    try:
        return {file.resolve().parent.name: tuple(file.read_text("utf-8-sig").split()) for file in files}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--model {place}: cannot be read: {error}") from error


def _uses(policy: EffectivePolicy, scored: Collection[str]) -> Iterator[_Use]:
    for label, (origin, places) in _named(policy).items():
        if label in scored or not _is_for_images(policy, label):
            continue
        if label in policy.labels.announced_names:
            yield _Use(origin, label, _WAITS, _LEAVE)
        else:
            yield _Use(origin, label, _missing_effect(policy, places), _REMOVE)
    for name, expression in policy.expressions.items():
        for label in expression.labels:
            if label not in scored and _is_for_images(policy, label) and not _asks_first(expression.text, label):
                origin = policy.written_in(f"rules.{name}.when") or Origin(policy.file, 0, 0)
                yield _Use(origin, label, _rule_effect(policy, name), f'ask `"{label}" in scores && …` first')


def _is_for_images(policy: EffectivePolicy, label: str) -> bool:
    """Labels of other sources of evidence are not the image model's to score."""
    return IMAGE in policy.labels.by_name[label].sources


def _named(policy: EffectivePolicy) -> Mapping[str, tuple[Origin, list[str]]]:
    """Labels whose absence matters: where each is named, and in which places."""
    named: dict[str, tuple[Origin, list[str]]] = {}
    surfaces = policy.settings.applies_to.surfaces or tuple(Surface)
    for (surface, country), limits in policy.limits.items():
        labels = [*(label for label, _ in limits), *policy.named_labels(surface, country)]
        for label in dict.fromkeys(labels) if surface in surfaces else ():
            limit = next((limit for (each, _), limit in limits.items() if each == label), None)
            origin = limit.origin if limit else _political_origin(policy)
            named.setdefault(label, (origin, []))[1].append(f"{surface.value}s" + (f" in {country}" if country else ""))
    return named


def _political_origin(policy: EffectivePolicy) -> Origin:
    """`political` counts by its section where no threshold names it."""
    return policy.written_in("political.threshold") or Origin(policy.file, 0, 0)


def _missing_effect(policy: EffectivePolicy, places: list[str]) -> str:
    answer = policy.settings.on_missing_label or Verdict.REVIEW
    everywhere = {f"{surface.value}s" for surface in policy.settings.applies_to.surfaces or Surface}
    where = "" if everywhere <= set(places) else f" of {', '.join(dict.fromkeys(places))}"
    if answer is Verdict.ALLOW:
        return f"nothing: on_missing_label is allow, so no image{where} is kept away by it"
    if answer is Verdict.BLOCK:
        return f"every examined image{where} gets block by on_missing_label"
    return f"no examined image{where} is allowed: each gets review by on_missing_label, or block by another rule"


def _rule_effect(policy: EffectivePolicy, name: str) -> str:
    answer = Verdict.BLOCK if policy.settings.on_error is Verdict.BLOCK else Verdict.REVIEW
    return f"where rules.{name} reads it, the expression errs and the image gets {answer.value}"


def _asks_first(text: str, label: str) -> bool:
    """`"x" in scores` and `has(scores.x)` are the ways to ask whether a label was scored."""
    quoted = re.escape(label)
    return bool(re.search(rf"""["']{quoted}["']\s+in\s+scores\b|has\(\s*scores\s*\.\s*{quoted}\s*\)""", text))


def _warning(use: _Use, clients: list[str], model: str) -> PolicyWarning:
    concerned = ", ".join(clients[:5]) + (f" and {len(clients) - 5} more" if len(clients) > 5 else "")  # noqa: PLR2004
    problem = f"{model} does not score {use.label}; concerns {concerned}"
    return PolicyWarning(use.origin.file, use.origin.line, problem, use.effect, use.hint)
