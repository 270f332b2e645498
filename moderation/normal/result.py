"""What a normal form is: text that compares by equality, or the reason why nothing may be compared with it."""

from dataclasses import dataclass
from typing import TypeAlias

from moderation.events import one_line


@dataclass(frozen=True, slots=True)
class Incomparable:
    """A value without a normal form. `reason` names the value and what is wrong with it, in one line."""

    reason: str

    @classmethod
    def of(cls, value: str, problem: str) -> "Incomparable":
        return cls(f"'{one_line(value, 80)}' {problem}")


Normal: TypeAlias = str | Incomparable
"""The normal form of one value; the empty text where the value is empty."""
