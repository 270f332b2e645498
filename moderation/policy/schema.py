"""What a policy file may say: the schema, field by field.

Frozen and closed: an unknown key is a mistake. The same classes describe a file as written and the
effective policy after inheritance; the generated JSON Schema is `docs/schema/policy.schema.json`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import iso3166
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from moderation.events import Surface, Verdict
from moderation.labels import LABELS, TOP_LABELS
from moderation.policy.mistakes import nearest
from moderation.policy.suitability import TIERS

NEVER: Final = float("inf")
"""A threshold that no score reaches; written `never`."""
PDQ_MATCH: Final = 31
"""Bits of 256 within which two PDQ hashes are taken for the same image (the value PDQ's authors publish)."""


def refuse(problem: str, expected: str = "", hint: str = "") -> PydanticCustomError:
    """A mistake with the words its author will read."""
    return PydanticCustomError("policy", "{problem}", {"problem": problem, "expected": expected, "hint": hint})


def _text(value: object) -> object:
    """Numbers written without quotes where a text is meant keep every digit they were written with."""
    return getattr(value, "raw", value)


def _one_of(what: str, known: tuple[str, ...]) -> Callable[[object], object]:
    def check(value: object) -> object:
        if isinstance(value, str) and value not in known:
            raise refuse(f"unknown {what} '{value}'", f"one of {', '.join(known)}", nearest(value, known))
        return value

    return check


def _member(what: str, members: tuple[StrEnum, ...]) -> Callable[[object], object]:
    known = {str(member): member for member in members}
    check_known = _one_of(what, tuple(known))

    def member(value: object) -> object:
        return known.get(str(check_known(value)), value)

    return member


def _threshold(value: object) -> float:
    if value == "never":
        return NEVER
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise refuse(f"{_shown(value)} is not a threshold", "a number from 0 to 1, or never")
    if value == NEVER or 0 <= value <= 1:
        return float(value)
    raise refuse(f"{_shown(value)} is not a probability", "a number from 0 to 1, or never", _as_percent(value))


def _as_percent(value: float) -> str:
    return f"thresholds are not percent: write {value / 100:.2f}" if 1 < value <= 100 else ""


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(getattr(value, "raw", value))


def _country(value: object) -> str:
    known = iso3166.countries_by_alpha2
    if not isinstance(value, str):
        raise refuse(f"{_shown(value)} is not a country", 'a quoted two-letter code, e.g. "NO"')
    if value in known:
        return value
    raise refuse(f"unknown country '{value}'", 'an ISO 3166-1 alpha-2 code, e.g. "DE"', _country_hint(value))


def _country_hint(value: str) -> str:
    upper = value.upper()
    if upper == "UK":
        return "the United Kingdom is GB"
    if entry := iso3166.countries_by_alpha3.get(upper):
        return f"write {entry.alpha2}"
    return f"write {upper}" if upper in iso3166.countries_by_alpha2 else ""


def alpha2(country: str | None) -> str | None:
    """A country as policies name it: alpha-3 codes of events become alpha-2; unknown codes stay."""
    entry = iso3166.countries_by_alpha3.get(country or "")
    return entry.alpha2 if entry else country


def _moment(*, end: bool) -> Callable[[object], datetime]:
    def parse(value: object) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(_text(value))
        try:
            return _day(date.fromisoformat(text), end=end) if len(text) == 10 else _instant(text)
        except ValueError:
            raise refuse(f"'{text}' is not a date", "YYYY-MM-DD, or YYYY-MM-DDTHH:MM:SSZ with a time zone") from None

    return parse


def _day(day: date, *, end: bool) -> datetime:
    """A bare date begins at midnight UTC and, as an end, lasts to the day's last second."""
    start = datetime.combine(day, time(), UTC)
    return start + timedelta(days=1, seconds=-1) if end else start


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment.astimezone(UTC)


_DATE_SCHEMA: Final = WithJsonSchema(
    {"type": "string", "description": "YYYY-MM-DD, or YYYY-MM-DDTHH:MM:SS with Z or an offset."}
)
Text = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=2000)]
PolicyName = Annotated[
    str, BeforeValidator(_text), Field(min_length=1, max_length=200, pattern=r"^[^\s/\x00-\x1f][^/\x00-\x1f]*$")
]
Label = Annotated[
    str, BeforeValidator(_one_of("label", LABELS)), WithJsonSchema({"type": "string", "enum": list(LABELS)})
]
TopLabel = Annotated[
    str,
    BeforeValidator(_one_of("top label", TOP_LABELS)),
    WithJsonSchema({"type": "string", "enum": list(TOP_LABELS)}),
]
Tier = Annotated[str, BeforeValidator(_one_of("tier", TIERS)), WithJsonSchema({"type": "string", "enum": list(TIERS)})]
Answer = Annotated[Verdict, BeforeValidator(_member("verdict", tuple(Verdict)))]
Escalation = Annotated[
    Verdict,
    BeforeValidator(_member("verdict", (Verdict.REVIEW, Verdict.BLOCK))),
    WithJsonSchema({"type": "string", "enum": ["review", "block"]}),
]
SurfaceName = Annotated[Surface, BeforeValidator(_member("surface", tuple(Surface)))]
CountryCode = Annotated[str, PlainValidator(_country), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$"})]
Threshold = Annotated[
    float,
    PlainValidator(_threshold),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"const": "never"}]}),
]
Start = Annotated[datetime, PlainValidator(_moment(end=False)), _DATE_SCHEMA]
End = Annotated[datetime, PlainValidator(_moment(end=True)), _DATE_SCHEMA]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Cut(Strict):
    """Two thresholds of one label: a rule fires at score ≥ threshold."""

    review: Threshold | None = Field(None, description="From this score up a person looks; `never` switches off.")
    block: Threshold | None = Field(None, description="From this score up it is blocked; `never` switches off.")


def _tier_for_all(value: object) -> object:
    return dict.fromkeys(TOP_LABELS, value) if isinstance(value, str) else value


TierByLabel = Annotated[
    dict[TopLabel, Tier],
    BeforeValidator(_tier_for_all),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": list(TIERS)},
                {
                    "type": "object",
                    "propertyNames": {"enum": list(TOP_LABELS)},
                    "additionalProperties": {"type": "string", "enum": list(TIERS)},
                },
            ]
        }
    ),
]


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


EntryList = Annotated[Entries, BeforeValidator(_bare_list)]
HashEntryList = Annotated[HashEntries, BeforeValidator(_bare_list)]


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

    threshold: Threshold | None = Field(None, description="Score of `political` from which an image is political.")
    declared: Answer | None = Field(None, description="Answer to declared political advertising.")
    undeclared: Answer | None = Field(None, description="Answer where the score says political and nobody declared it.")


class Blackout(Strict):
    """A window, e.g. before an election, in which political images get another answer."""

    countries: tuple[CountryCode, ...] = Field(strict=False, min_length=1)
    start: Start = Field(alias="from", description="First moment, UTC; a bare date begins at midnight.")
    end: End = Field(alias="until", description="Last moment, UTC; a bare date includes the whole day.")
    verdict: Escalation = Verdict.BLOCK


class Political(PoliticalAnswers):
    """Political = score × declared category × country × date."""

    countries: dict[CountryCode, PoliticalAnswers] = {}
    blackouts: dict[PolicyName, Blackout] = {}


class Rule(Strict):
    """A CEL expression over the event; see docs/policies.md for its fields."""

    when: Text = Field(description="CEL; the rule fires where it is true.")
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
        None, description="The model did not score a label this policy names. Default review."
    )
    on_uncertain: Answer | None = Field(None, description="The image is unlike the training data. Default review.")
    on_expired: Answer | None = Field(None, description="The policy or the scores are out of date. Default review.")
    audit: Audit | None = None


_HEX64: Final = re.compile(r"[0-9a-f]{64}")


def is_hex64(value: str) -> bool:
    return bool(_HEX64.fullmatch(value))


def json_schema() -> Mapping[str, Any]:
    """The JSON Schema that editors check a policy file with."""
    schema = PolicyFile.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Adjudicate policy"
    return schema
