"""A starting policy from a tier or from answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from moderation.events import Surface, Verdict
from moderation.labels import LabelCatalogue


@dataclass(frozen=True, slots=True)
class Answers:
    """The values of a new policy.

    labels:     the catalogue that defines the tiers.
    client:     a client, or `client/campaign`: then the campaign changes the client's policy.
    tiers:      by label with tiers: the mildest risk kept away; a campaign inherits the others from its client.
    undeclared: the answer to undeclared political images; None: thresholds alone decide.
    audit:      share of images marked for audit; 0 for none.
    """

    client: str
    labels: LabelCatalogue
    tiers: Mapping[str, str]
    extends: str | None = None
    description: str | None = None
    on_error: Verdict | None = Verdict.REVIEW
    undeclared: Verdict | None = None
    audit: float = 0.0
    version: str = "1"
    surfaces: tuple[Surface, ...] = field(default_factory=lambda: tuple(Surface))

    @property
    def owner(self) -> dict[str, str]:
        """The owner of the policy, by its key."""
        client, _, campaign = self.client.partition("/")
        extends = client if campaign else self.extends
        return {"campaign" if campaign else "client": campaign or client, **({"extends": extends} if extends else {})}

    @property
    def is_campaign(self) -> bool:
        return "/" in self.client


def policy_text(answers: Answers) -> str:
    """The policy as YAML, with comments for the people who will change it."""
    lines = [f"{key}: {_quoted(name)}" for key, name in answers.owner.items()]
    lines += [f'version: "{answers.version}"']
    lines += [f"description: {_quoted(answers.description)}"] if answers.description else []
    lines += ["", *_suitability(answers)] if answers.tiers else []
    if answers.on_error:
        lines += ["", "# What could not be examined is not safe: say what it gets."]
        lines += [f"on_error: {answers.on_error.value}"]
    if answers.undeclared:
        lines += ["", *_political(answers)]
    if answers.audit:
        share = f"{answers.audit:g}"
        lines += ["", "# The same images are drawn for ever, whoever asks.", f"audit: {{share: {share}, answer: mark}}"]
    return "\n".join(lines) + "\n"


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
    threshold = answers.labels.by_name["political"].tiers[answers.tiers.get("political", "medium")].review
    return [
        "# A picture cannot prove that an ad is political in law. What looks like it and was not declared gets the",
        "# answer below from this score on: where your tier begins to look. Raise it to be asked less often.",
        "political:",
        f"  threshold: {threshold}",
        "  declared: allow",
        f"  undeclared: {answers.undeclared.value if answers.undeclared else 'review'}",
    ]


def _quoted(text: str | None) -> str:
    return json.dumps(text or "", ensure_ascii=False)
