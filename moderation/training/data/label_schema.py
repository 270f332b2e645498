"""What is learnt and how a manifest says it: any set of labels, brand safety being one of them."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

UNKNOWN: Final = math.nan
"""An empty cell: neither positive nor negative; no loss, no metric and no calibration reads it."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$")]
Where = dict[str, tuple[str, ...]]
"""Columns and the values they may have; all must hold."""


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(Strict):
    """One published score in 0..1.

    binary:  the cell is 1, 0 or empty.
    ordinal: the cell is a level 0..levels−1; the score is the expected level as a share of the highest.
    scalar:  the cell is a number in 0..1.

    Labels with the same `group` exclude each other: at most one of a row is 1, scores sum to 1.
    """

    name: Name
    kind: Literal["binary", "ordinal", "scalar"] = "binary"
    column: str = Field("", description="Column of the manifest; the label's name if empty.")
    group: str = ""
    levels: int = Field(2, ge=2, le=20)
    only_where: Where = Field({}, description="A positive elsewhere is unknown: {column: [values]}.")
    unknown_where: tuple[Where, ...] = Field((), description="A positive in any of these is unknown.")

    @property
    def cell(self) -> str:
        return self.column or self.name

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.group and self.kind != "binary":
            raise ValueError(f"{self.name}: only binary labels can exclude each other")
        if self.kind != "ordinal" and self.levels != 2:  # noqa: PLR2004 - two levels are the default
            raise ValueError(f"{self.name}: levels belong to ordinal labels")
        return self

    def condition_columns(self) -> tuple[str, ...]:
        return tuple(column for where in (self.only_where, *self.unknown_where) for column in where)

    def read(self, row: Mapping[str, str]) -> float:
        """The target of one row in 0..1, or UNKNOWN. Raises ValueError with what was expected."""
        text = (row.get(self.cell) or "").strip()
        if not text:
            return UNKNOWN
        value = self._number(text)
        if value > 0 and self._is_unknown(row):
            return UNKNOWN
        return value

    def _number(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = UNKNOWN
        if self.kind == "scalar":
            if not 0 <= value <= 1:
                raise ValueError("expected a number from 0 to 1, or empty for unknown")
            return value
        if value not in range(self.levels):
            expected = "1, 0" if self.kind == "binary" else f"a level from 0 to {self.levels - 1}"
            raise ValueError(f"expected {expected}, or empty for unknown")
        return value / (self.levels - 1)

    def _is_unknown(self, row: Mapping[str, str]) -> bool:
        return not holds(self.only_where, row) or any(holds(where, row) for where in self.unknown_where)


def holds(where: Where, row: Mapping[str, str]) -> bool:
    """Whether every column of `where` has one of its values in `row`."""
    return all(row.get(column, "") in values for column, values in where.items())


class Schema(Strict):
    """The labels in the order in which they are published."""

    labels: tuple[Label, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        counts = Counter(label.name for label in self.labels)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"labels named twice: {', '.join(twice)}")
        if single := [name for name, members in self.groups().items() if len(members) == 1]:
            raise ValueError(f"groups of a single label: {', '.join(single)}")
        return self

    def names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    def columns(self) -> tuple[str, ...]:
        """Every column of a manifest that this schema reads."""
        wanted = [label.cell for label in self.labels]
        wanted += [column for label in self.labels for column in label.condition_columns()]
        return tuple(dict.fromkeys(wanted))

    def groups(self) -> dict[str, tuple[int, ...]]:
        """Places of the labels of each exclusive group."""
        names = dict.fromkeys(label.group for label in self.labels if label.group)
        return {name: tuple(i for i, label in enumerate(self.labels) if label.group == name) for name in names}
