"""What a label catalogue file may say, field by field. Frozen and closed: an unknown key is a mistake."""

import math
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from moderation.labels.catalogue import DEFAULT_SOURCES, Joining, Kind, State

NEVER: Final = math.inf
LABEL_NAME: Final = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$"
SOURCE_NAME: Final = r"^[a-z][a-z0-9_-]*$"


def _threshold(value: object) -> float:
    if value == "never":
        return NEVER
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("not a threshold: a number from 0 to 1, or never")
    return float(value)


def _text(value: object) -> object:
    """Numbers written without quotes where a text is meant keep every digit they were written with."""
    return getattr(value, "raw", value)


Threshold = Annotated[float, PlainValidator(_threshold)]
Text = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=2000)]
LabelName = Annotated[str, Field(pattern=LABEL_NAME, max_length=100)]
SourceName = Annotated[str, Field(pattern=SOURCE_NAME, max_length=100)]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TierRow(_Closed):
    review: Threshold
    block: Threshold


class TermsRow(_Closed):
    """How the label reads on one surface: ids of the standards that docs/adtech.md names."""

    cat: tuple[Text, ...] = ()
    risk: Text | None = None
    attr: tuple[int, ...] = ()
    loss: int | None = None


class AdtechRow(_Closed):
    creative: TermsRow = TermsRow()
    page: TermsRow = TermsRow()


class Entry(_Closed):
    """One label."""

    description: Text
    state: State = State.ACTIVE
    kind: Kind = Kind.INDEPENDENT
    sources: tuple[SourceName, ...] = Field(DEFAULT_SOURCES, min_length=1)
    join: Joining = Joining.MAX
    suitability: dict[str, TierRow] | None = Field(
        None, description="Thresholds for each tier; `{}`: no tier covers this label."
    )
    adtech: AdtechRow = Field(description="`{}`: the label says nothing in ad-tech's terms.")


class CatalogueFile(_Closed):
    catalogue: Text = Field(description="Name of the catalogue.")
    version: Text = Field(description="For people; raise it with every change.")
    suitability_version: Text = Field(description="Version of the tier table; part of every policy hash.")
    labels: dict[LabelName, Entry] = Field(min_length=1)
