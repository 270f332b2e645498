"""The value types of a policy file. Each refuses a wrong value in words for its author."""

import math
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from moderation.documents.mistakes import nearest
from moderation.events import Surface, Verdict
from moderation.labels import TIERS, LabelCatalogue
from moderation.normal.countries import is_alpha2
from moderation.policy.language.expressions import ExpressionMistake, compile_expression
from moderation.policy.language.hints.countries import country_hint
from moderation.policy.language.hints.labels import label_hint
from moderation.policy.language.hints.lists import bare_hint
from moderation.policy.language.hints.numbers import probability_hint
from moderation.policy.language.hints.words import surface_hint, tier_hint, verdict_hint
from moderation.policy.language.moments import moment, window_date, zone_name
from moderation.policy.language.refusals import refuse

NEVER: Final = float("inf")
"""A threshold that no score reaches; written `never`."""


def _text(value: object) -> object:
    """Numbers written without quotes where a text is meant keep every digit they were written with."""
    return getattr(value, "raw", value)


def _one_of(
    what: str, known: tuple[str, ...], hint: Callable[[str, tuple[str, ...]], str] = nearest
) -> Callable[[object], object]:
    def check(value: object) -> object:
        if isinstance(value, str) and value not in known:
            raise refuse(f"unknown {what} '{value}'", f"one of {', '.join(known)}", hint(value, known))
        return value

    return check


def _member(
    what: str, members: tuple[StrEnum, ...], hint: Callable[[str, tuple[str, ...]], str]
) -> Callable[[object], object]:
    known = {str(member): member for member in members}
    check_known = _one_of(what, tuple(known), hint)

    def member(value: object) -> object:
        if isinstance(value, list | dict):
            shape = "a list" if isinstance(value, list) else "a mapping"
            raise refuse(f"{shape} stands here", f"one of {', '.join(known)}", bare_hint(value))
        return known.get(str(check_known(value)), value)

    return member


_check_tier: Final = _one_of("tier", TIERS, tier_hint)


def _threshold(value: object) -> float:
    if value == "never":
        return NEVER
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise refuse(f"{_shown(value)} is not a threshold", "a number from 0 to 1, or never", probability_hint(value))
    if value == NEVER or 0 <= value <= 1:
        return float(value)
    raise refuse(f"{_shown(value)} is not a probability", "a number from 0 to 1, or never", probability_hint(value))


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(getattr(value, "raw", value))


def _country(value: object) -> str:
    if not isinstance(value, str):
        raise refuse(f"{_shown(value)} is not a country", 'a quoted two-letter code, e.g. "NO"')
    if is_alpha2(value):
        return value
    raise refuse(f"unknown country '{value}'", 'an ISO 3166-1 alpha-2 code, e.g. "DE"', country_hint(value))


def catalogue_of(info: ValidationInfo) -> LabelCatalogue:
    """The label catalogue that a policy is read with: `schema.policy_file` passes it in."""
    catalogue = (info.context or {})["labels"]
    assert isinstance(catalogue, LabelCatalogue)  # noqa: S101 - narrows the type
    return catalogue


def _label(value: object, info: ValidationInfo) -> object:
    return _one_of("label", catalogue_of(info).names, label_hint)(value)


def _tiered_label(value: object, info: ValidationInfo) -> object:
    """A label that tiers can be chosen for: a top label, whose entry says what each tier means."""
    catalogue = catalogue_of(info)
    checked = _one_of("top label", catalogue.top_names, label_hint)(value)
    if isinstance(checked, str) and not catalogue.by_name[checked].tiers:
        hint = f"add tier rows to {checked} in {catalogue.file}"
        raise refuse(f"{checked} has no suitability tiers", f"`thresholds` for {checked}", hint)
    return checked


def _political_threshold(value: float, info: ValidationInfo) -> float:
    """Without the label nothing would ever reach it, and its absence would be noticed by no rule."""
    catalogue = catalogue_of(info)
    if value != NEVER and "political" not in catalogue.by_name:
        problem = "the label catalogue has no label `political`"
        raise refuse(problem, "`never`: only declarations count", f"add `political` to {catalogue.file}")
    return value


def _expression(text: str, info: ValidationInfo) -> str:
    try:
        compile_expression(text, catalogue_of(info).names)
    except ExpressionMistake as mistake:
        raise refuse(mistake.problem, mistake.expected, mistake.hint, mistake.offset) from None
    return text


_DATE_SCHEMA: Final = WithJsonSchema(
    {"type": "string", "description": "YYYY-MM-DD, or YYYY-MM-DDTHH:MM:SS with Z or an offset."}
)
_WINDOW_SCHEMA: Final = WithJsonSchema(
    {"type": "string", "description": "YYYY-MM-DD, or YYYY-MM-DDTHH:MM:SS in the window's time zone."}
)
Text = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=2000)]
PolicyName = Annotated[
    str, BeforeValidator(_text), Field(min_length=1, max_length=200, pattern=r"^[^\s/\x00-\x1f][^/\x00-\x1f]*$")
]
Expression = Annotated[Text, AfterValidator(_expression)]
ANY_LABEL, ANY_TIERED_LABEL = "label", "label with tiers"
"""Formats in JSON Schema, until `schema.json_schema` puts a catalogue's names in their place."""
_TIERED_LABEL_SCHEMA: Final = {"type": "string", "format": ANY_TIERED_LABEL}
Label = Annotated[str, BeforeValidator(_label), WithJsonSchema({"type": "string", "format": ANY_LABEL})]
TieredLabel = Annotated[str, BeforeValidator(_tiered_label), WithJsonSchema(_TIERED_LABEL_SCHEMA)]
Tier = Annotated[str, BeforeValidator(_check_tier), WithJsonSchema({"type": "string", "enum": list(TIERS)})]
Answer = Annotated[Verdict, BeforeValidator(_member("verdict", tuple(Verdict), verdict_hint))]
Escalation = Annotated[
    Verdict,
    BeforeValidator(_member("verdict", (Verdict.REVIEW, Verdict.BLOCK), verdict_hint)),
    WithJsonSchema({"type": "string", "enum": ["review", "block"]}),
]
SurfaceName = Annotated[Surface, BeforeValidator(_member("surface", tuple(Surface), surface_hint))]
CountryCode = Annotated[str, PlainValidator(_country), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$"})]
Threshold = Annotated[
    float,
    PlainValidator(_threshold),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"const": "never"}]}),
]
PoliticalThreshold = Annotated[Threshold, AfterValidator(_political_threshold)]
Start = Annotated[datetime, PlainValidator(moment(end=False)), _DATE_SCHEMA]
End = Annotated[datetime, PlainValidator(moment(end=True)), _DATE_SCHEMA]
WindowDate = Annotated[str, PlainValidator(window_date), _WINDOW_SCHEMA]
TimeZone = Annotated[
    str, PlainValidator(zone_name), WithJsonSchema({"type": "string", "description": "IANA name: Europe/Berlin."})
]


def _tier_for_all(value: object, info: ValidationInfo) -> object:
    if isinstance(value, list):
        raise refuse("a list stands here", "a tier, or a tier for each top label", bare_hint(value))
    _check_tier(value)
    return dict.fromkeys(catalogue_of(info).tiered_names, value) if isinstance(value, str) else value


TierByLabel = Annotated[
    dict[TieredLabel, Tier],
    BeforeValidator(_tier_for_all),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": list(TIERS)},
                {
                    "type": "object",
                    "propertyNames": _TIERED_LABEL_SCHEMA,
                    "additionalProperties": {"type": "string", "enum": list(TIERS)},
                },
            ]
        }
    ),
]
