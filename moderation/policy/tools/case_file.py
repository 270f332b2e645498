"""The file of cases beside a policy: what it may say, and how it is read, with every mistake at its place."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from moderation.documents.mistakes import nearest
from moderation.documents.source import Source, read
from moderation.events import AdContext, ImageFacts, Pdq, Probability, Sha256, Status, Surface, Verdict, absent_is_empty
from moderation.labels import LabelCatalogue
from moderation.policy.language.hints.labels import label_hint
from moderation.policy.language.hints.words import verdict_hint
from moderation.policy.tools.diff import NONE
from moderation.sent import listed, lower, text_of

OTHER: Final = "other"
"""In `scores`: the score of every label that is not given."""
STARTER: Final = "write one, or let `adjudicate policy new` show how"


def _moment(value: object) -> object:
    """A bare date is its midnight in UTC, as in policies."""
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
        return datetime.combine(date.fromisoformat(value), time(), UTC) if len(value) == 10 else found  # noqa: PLR2004
    return value


def _names(value: object) -> object:
    """As an event takes them; absent, the policy's own client stands here."""
    return value if value is None else listed(value)


_Names = tuple[Annotated[str, BeforeValidator(text_of)], ...]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Context(AdContext):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expected(_Closed):
    """What the policy must answer."""

    verdict: Literal["allow", "review", "block", "none"] = Field(
        description="`none`: this policy has no decision for the event."
    )
    rule: str | None = Field(None, description="The deciding rule.")
    also: tuple[str, ...] = Field((), description="Rules that must fire beside it.")
    audit_sample: bool | None = None


class Given(_Closed):
    """What the event says. In `defaults` it holds for every case; a case's own values win, key by key."""

    surface: Annotated[Surface | None, BeforeValidator(lower)] = None
    scores: dict[str, Probability | None] = Field({}, description="By label; null: not scored; `other`: the rest.")
    status: Status | None = None
    uncertainty: Probability | None = None
    context: Annotated[_Context, BeforeValidator(absent_is_empty)] = _Context()
    content_sha256: Annotated[Sha256 | None, BeforeValidator(lower)] = None
    perceptual_hash: Annotated[Pdq | None, BeforeValidator(lower)] = None
    image: ImageFacts | None = None
    clients: Annotated[_Names | None, BeforeValidator(_names)] = Field(
        None, description="Clients the event names; the policy's own if absent."
    )
    now: Annotated[datetime | None, BeforeValidator(_moment)] = Field(None, description="When it is decided.")
    scored_at: Annotated[datetime | None, BeforeValidator(_moment)] = None

    @field_validator("scores")
    @classmethod
    def _known_labels(cls, scores: dict[str, float | None], info: ValidationInfo) -> dict[str, float | None]:
        known = (info.context or {})["labels"].names
        for label in scores:
            if label not in known and label != OTHER:
                raise ValueError(f"unknown label '{label}'. {label_hint(label, known)}".rstrip(". "))
        return scores


class Case(Given):
    name: str = Field(min_length=1, max_length=200)
    expect: Annotated[Expected, BeforeValidator(lambda v: {"verdict": v} if isinstance(v, str) else v)]


class CaseFile(_Closed):
    defaults: Given = Given()
    cases: tuple[Case, ...] = ()


def cases_path(policy_file: Path) -> Path:
    """`policies/acme.yaml` → `policies/acme.cases.yaml`."""
    return policy_file.with_name(f"{policy_file.stem}.cases.yaml")


def read_cases(path: Path, labels: LabelCatalogue) -> tuple[Source, CaseFile | None]:
    """A cases file; None, with every mistake noted in the source, where it cannot be used."""
    source = read(path, str(path))
    if not isinstance(source.value, dict):
        if not source.mistakes:
            source.add((), "this is not a file of cases", "`cases:` with a list below")
        return source, None
    try:
        cases = CaseFile.model_validate(source.value, context={"labels": labels})
    except ValidationError as error:
        for violation in error.errors(include_url=False, include_context=False):
            _note(source, violation)
        return source, None
    _refuse_twins(source, cases)
    if not cases.cases:
        source.add(("cases",), "there are no cases", "at least one case", STARTER)
    return source, None if source.mistakes else cases


def _refuse_twins(source: Source, cases: CaseFile) -> None:
    seen: set[str] = set()
    for number, case in enumerate(cases.cases):
        if case.name in seen:
            source.add(("cases", number, "name"), f"'{case.name}' names two cases", "a name of its own for each")
        seen.add(case.name)


def _note(source: Source, violation: Mapping[str, Any]) -> None:
    path = tuple(violation["loc"])
    if violation["type"] == "extra_forbidden":
        known = _KEYS.get(len(path) if path[0] == "cases" else 0, ()) or _KEYS[1]
        source.add(path, f"unknown key '{path[-1]}'", "", nearest(str(path[-1]), known), key=True)
    elif violation["type"] == "missing":
        source.add(path[:-1], f"'{path[-1]}' is missing")
    else:
        hint = verdict_hint(str(violation["input"]), _VERDICTS) if violation["type"] == "literal_error" else ""
        source.add(path, violation["msg"].removeprefix("Value error, "), hint=hint)


_VERDICTS: Final = (*(verdict.value for verdict in Verdict), NONE)
_KEYS: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("defaults", "cases"),
    3: tuple(Case.model_fields),
    4: (*Expected.model_fields, *AdContext.model_fields),
}
