"""What a policy file may say: the schema, field by field.

Frozen and closed: an unknown key is a mistake. The same classes describe a file as written and the
effective policy after inheritance; the generated JSON Schema is `docs/schema/policy.schema.json`.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from moderation.events import PDQ_MATCH, Verdict
from moderation.labels import LabelCatalogue
from moderation.policy.language.fields import (
    ANY_LABEL,
    ANY_TIERED_LABEL,
    NEVER,
    Answer,
    CountryCode,
    End,
    Escalation,
    Expression,
    Label,
    PolicyName,
    PoliticalThreshold,
    Start,
    SurfaceName,
    Text,
    Threshold,
    TierByLabel,
    TimeZone,
    WindowDate,
)
from moderation.policy.language.moments import DEFAULT_ZONE, instant


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Cut(Strict):
    """Two thresholds of one label: a rule fires at score ≥ threshold."""

    review: Threshold | None = Field(None, description="From this score up a person looks; `never` switches off.")
    block: Threshold | None = Field(None, description="From this score up it is blocked; `never` switches off.")


class Layer(Strict):
    """Thresholds for one place: everywhere, a surface, a market, or a surface in a market."""

    suitability: TierByLabel = Field(
        {}, description="A tier for every top label, or one per top label; explicit thresholds beside it win."
    )
    thresholds: dict[Label, Cut] = Field({}, description="Thresholds per label or sub-label.")


class Market(Layer):
    """What differs in one country."""

    surfaces: dict[SurfaceName, Layer] = Field({}, description="What differs on one surface in this country.")


class AppliesTo(Strict):
    """Which events concern the client when they name no client. Every list that is given must match."""

    surfaces: tuple[SurfaceName, ...] = Field((), strict=False)
    countries: tuple[CountryCode, ...] = Field((), strict=False)
    seats: tuple[Text, ...] = Field((), strict=False)
    campaigns: tuple[Text, ...] = Field((), strict=False)
    deals: tuple[Text, ...] = Field((), strict=False)


def _bare_list(value: object) -> object:
    return {"entries": value} if isinstance(value, list) else value


class Entries(Strict):
    """Entries written here, in files beside the policy (one per line, `#` begins a comment), or both."""

    entries: tuple[Text, ...] = Field((), strict=False)
    files: tuple[Text, ...] = Field((), strict=False, description="Paths relative to the policy's folder.")


class HashEntries(Entries):
    """Perceptual hashes (PDQ, 64 hex digits) and how near is near."""

    distance: int = Field(PDQ_MATCH, ge=0, le=64, description="Bits of 256 that may differ.")


EntryList = Annotated[Entries, BeforeValidator(_bare_list, json_schema_input_type=list[Text | float] | Entries)]
HashEntryList = Annotated[HashEntries, BeforeValidator(_bare_list, json_schema_input_type=list[str] | HashEntries)]


class AllowList(Strict):
    """What is trusted. Perceptual hashes cannot be here: collisions can be made."""

    crid: EntryList | None = Field(None, description="Creative ids, exactly.")
    adomain: EntryList | None = Field(None, description="Advertiser domains with their sub-domains.")
    domain: EntryList | None = Field(None, description="Publisher domains with their sub-domains.")
    page_url: EntryList | None = Field(None, description="Pages; `example.com/news/*` takes all below.")
    content_sha256: EntryList | None = Field(None, description="sha256 of the image's bytes, 64 hex digits.")


class EscalationList(AllowList):
    """What is kept away, or looked at."""

    perceptual_hash: HashEntryList | None = Field(None, description="PDQ hashes, near matches included.")


class Lists(Strict):
    """Lists of known things. A child policy's entries are added to its parent's."""

    block: EscalationList = EscalationList()
    review: EscalationList = EscalationList()
    allow: AllowList = AllowList()


class PoliticalAnswers(Strict):
    """What political images get; an image is political by its score or by declaration."""

    threshold: PoliticalThreshold | None = Field(
        None, description="Score of `political` from which an image is political."
    )
    declared: Answer | None = Field(None, description="Answer to declared political advertising.")
    undeclared: Answer | None = Field(None, description="Answer where the score says political and nobody declared it.")


class Blackout(Strict):
    """A window, e.g. before an election, in which political images get another answer."""

    countries: tuple[CountryCode, ...] = Field(strict=False, min_length=1)
    first: WindowDate = Field(alias="from", description="First moment; a bare date begins at midnight.")
    last: WindowDate = Field(alias="until", description="Last moment; a bare date includes the whole day.")
    time_zone: TimeZone = Field(DEFAULT_ZONE, description="Of both dates, as an IANA name: Europe/Paris.")
    verdict: Escalation = Verdict.BLOCK

    @cached_property
    def start(self) -> datetime:
        """The first instant, UTC."""
        return instant(self.first, self.time_zone, end=False)

    @cached_property
    def end(self) -> datetime:
        """The last instant, UTC: the window is closed."""
        return instant(self.last, self.time_zone, end=True)

    @property
    def dates(self) -> str:
        """The window in words: `2027-04-09 to 2027-04-11 (Europe/Paris)`."""
        return f"{self.first} to {self.last} ({self.time_zone})"


class Political(PoliticalAnswers):
    """Political = score × declared category × country × date."""

    countries: dict[CountryCode, PoliticalAnswers] = {}
    blackouts: dict[PolicyName, Blackout] = {}


class Rule(Strict):
    """A CEL expression over the event; see docs/policies.md for its fields."""

    when: Expression = Field(description="CEL; the rule fires where it is true.")
    verdict: Answer
    detail: Text | None = Field(None, description="For people: why.")


class Audit(Strict):
    """Deterministic sampling: the same image samples alike for ever."""

    share: float = Field(ge=0, le=1, strict=False, description="Share of images to draw, 0..1.")
    salt: Text | None = Field(None, description="Change it to draw another sample; the client's name if absent.")
    answer: Literal["mark", "review"] = Field(
        "mark", description="`mark` sets audit_sample only; `review` also sends what would be allowed to review."
    )


class PolicyFile(Layer):
    """A policy file as written: exactly one of `organisation`, `client`, `campaign`."""

    organisation: PolicyName | None = Field(None, description="A parent that others extend; decides nothing itself.")
    client: PolicyName | None = Field(None, description="The client this policy decides for.")
    campaign: PolicyName | None = Field(None, description="A campaign id (OpenRTB cid) of the client it extends.")
    extends: PolicyName | None = Field(None, description="The organisation or client whose policy this one changes.")
    version: Text | None = Field(None, description="For people; stands in every decision beside the hash.")
    description: Text | None = None
    shadow: bool = Field(False, description="Decides beside the live policy, on a topic of its own.")
    valid_from: Start | None = Field(None, description="Before this, `on_expired` answers.")
    valid_until: End | None = Field(None, description="After this, `on_expired` answers.")
    max_score_age_days: int | None = Field(None, ge=1, description="Older scores get `on_expired`.")
    applies_to: AppliesTo = AppliesTo()
    surfaces: dict[SurfaceName, Layer] = Field({}, description="What differs on one surface.")
    markets: dict[CountryCode, Market] = Field({}, description="What differs in one country.")
    lists: Lists = Lists()
    political: Political | None = None
    uncertainty: Threshold | None = Field(None, description="From this uncertainty up, `on_uncertain` answers.")
    rules: dict[PolicyName, Rule] = Field({}, description="CEL rules by name.")
    on_error: Answer | None = Field(None, description="The image could not be examined. Default review.")
    on_missing_label: Answer | None = Field(
        None, description="Nothing scored an active label that this policy names. Default review."
    )
    on_uncertain: Answer | None = Field(None, description="The image is unlike the training data. Default review.")
    on_expired: Answer | None = Field(None, description="The policy or the scores are out of date. Default review.")
    audit: Audit | None = None


def policy_file(value: Any, labels: LabelCatalogue) -> PolicyFile:
    """A parsed file as a policy that may name the labels of a catalogue. Raises ValidationError."""
    return PolicyFile.model_validate(value, context={"labels": labels})


def json_schema(labels: LabelCatalogue) -> Mapping[str, Any]:
    """The JSON Schema that editors check a policy file with, published as `docs/schema/policy.schema.json`."""
    schema: dict[str, Any] = _with_labels(PolicyFile.model_json_schema(by_alias=True), labels)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Adjudicate policy"
    return schema


def _with_labels(schema: Any, labels: LabelCatalogue) -> Any:
    """The catalogue's names in the place of what stands for any label."""
    if isinstance(schema, dict):
        if names := {ANY_LABEL: labels.names, ANY_TIERED_LABEL: labels.tiered_names}.get(str(schema.get("format"))):
            return {key: value for key, value in schema.items() if key != "format"} | {"enum": list(names)}
        return {key: _with_labels(inner, labels) for key, inner in schema.items()}
    return [_with_labels(inner, labels) for inner in schema] if isinstance(schema, list) else schema


__all__ = ["NEVER", "PolicyFile", "json_schema", "policy_file"]
