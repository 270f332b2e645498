"""The values a policy file is made of, each refusing what does not fit in its author's words."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from moderation.documents.mistakes import nearest
from moderation.events import Surface, Verdict
from moderation.labels import TIERS, LabelCatalogue
from moderation.normal import country
from moderation.normal.countries import is_alpha2
from moderation.policy.language.expressions import ExpressionMistake, compile_expression

NEVER: Final = float("inf")
"""A threshold that no score reaches; written `never`."""
_PERCENT: Final = 100
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def refuse(problem: str, expected: str = "", hint: str = "", offset: int = 0) -> PydanticCustomError:
    """A mistake with the words its author will read; `offset` is where in the value it begins."""
    return PydanticCustomError(
        "policy", "{problem}", {"problem": problem, "expected": expected, "hint": hint, "offset": offset}
    )


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


_check_tier: Final = _one_of("tier", TIERS)


def _threshold(value: object) -> float:
    if value == "never":
        return NEVER
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise refuse(f"{_shown(value)} is not a threshold", "a number from 0 to 1, or never")
    if value == NEVER or 0 <= value <= 1:
        return float(value)
    raise refuse(f"{_shown(value)} is not a probability", "a number from 0 to 1, or never", _as_percent(value))


def _as_percent(value: float) -> str:
    return f"thresholds are not percent: write {value / _PERCENT:g}" if 1 < value <= _PERCENT else ""


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(getattr(value, "raw", value))


def _country(value: object) -> str:
    if not isinstance(value, str):
        raise refuse(f"{_shown(value)} is not a country", 'a quoted two-letter code, e.g. "NO"')
    if is_alpha2(value):
        return value
    raise refuse(f"unknown country '{value}'", 'an ISO 3166-1 alpha-2 code, e.g. "DE"', _country_hint(value))


def _country_hint(value: str) -> str:
    if value.upper() == "UK":
        return "the United Kingdom is GB"
    meant = country(value)
    return f"write {meant}" if isinstance(meant, str) and meant else ""


def moment(*, end: bool) -> Callable[[object], datetime]:
    """A reader of dates; as an end, a bare date lasts to its last second."""

    def parse(value: object) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(_text(value))
        try:
            return _day(date.fromisoformat(text), end=end) if _DATE.fullmatch(text) else _instant(text)
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


def catalogue_of(info: ValidationInfo) -> LabelCatalogue:
    """The label catalogue that a policy is read with: `schema.policy_file` passes it in."""
    catalogue = (info.context or {})["labels"]
    assert isinstance(catalogue, LabelCatalogue)  # noqa: S101 - narrows the type
    return catalogue


def _label(value: object, info: ValidationInfo) -> object:
    return _one_of("label", catalogue_of(info).names)(value)


def _tiered_label(value: object, info: ValidationInfo) -> object:
    """A label that tiers can be chosen for: a top label, whose entry says what each tier means."""
    catalogue = catalogue_of(info)
    checked = _one_of("top label", catalogue.top_names)(value)
    if isinstance(checked, str) and not catalogue.by_name[checked].tiers:
        hint = f"add tier rows to {checked} in {catalogue.file}"
        raise refuse(f"{checked} has no suitability tiers", f"`thresholds` for {checked}", hint)
    return checked


def _expression(text: str, info: ValidationInfo) -> str:
    try:
        compile_expression(text, catalogue_of(info).names)
    except ExpressionMistake as mistake:
        raise refuse(mistake.problem, mistake.expected, mistake.hint, mistake.offset) from None
    return text


_DATE_SCHEMA: Final = WithJsonSchema(
    {"type": "string", "description": "YYYY-MM-DD, or YYYY-MM-DDTHH:MM:SS with Z or an offset."}
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
Start = Annotated[datetime, PlainValidator(moment(end=False)), _DATE_SCHEMA]
End = Annotated[datetime, PlainValidator(moment(end=True)), _DATE_SCHEMA]


def _tier_for_all(value: object, info: ValidationInfo) -> object:
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
