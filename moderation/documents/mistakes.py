"""Mistakes in a file that a person wrote, worded so that its author can correct them."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from moderation.errors import PolicyError


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake at one place.

    line, column: from 1; 0 where the file as a whole is meant.
    path:         where in the document, e.g. `thresholds.violence.block`.
    source:       the source line, for the caret.
    """

    file: str
    line: int
    column: int
    path: str
    problem: str
    expected: str = ""
    hint: str = ""
    source: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.path + ': ' if self.path else ''}{self.problem}"

    def render(self) -> str:
        """The mistake for its author: place, source line, caret, the expected value, a hint."""
        lines = [str(self), *self._excerpt()]
        lines += [f"  expected: {self.expected}"] if self.expected else []
        lines += [f"  hint: {self.hint}"] if self.hint else []
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def _excerpt(self) -> list[str]:
        if not self.line:
            return []
        gutter = f"{self.line:>5}"
        shown, caret = _window(self.source, self.column)
        return [f"{gutter} | {shown}", f"{' ' * len(gutter)} | {' ' * caret}^"]


def _window(source: str, column: int, width: int = 100) -> tuple[str, int]:
    """A long line is cut around the caret, so that a bomb of one line stays readable."""
    start = max(0, column - 1 - width // 2) if len(source) > width else 0
    shown = source[start : start + width].replace("\t", " ")
    return shown, column - 1 - start


class PolicyMistakes(PolicyError):
    """Policy files that may not go live; `mistakes` holds every mistake of every file, in reading order."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes: tuple[Mistake, ...] = tuple(sorted(mistakes))
        super().__init__(summary(self.mistakes))

    def explained(self) -> str:
        """Every mistake with its line, a caret and a hint."""
        return f"{summary(self.mistakes).splitlines()[0]}\n\n{render(self.mistakes)}"


def summary(mistakes: Sequence[Mistake]) -> str:
    """Every mistake on a separate line, the count first."""
    files = len({m.file for m in mistakes})
    head = f"{count(len(mistakes), 'mistake')} in {count(files, 'policy file')}"
    return "\n".join([head, *(str(m) for m in mistakes)])


def render(mistakes: Iterable[Mistake]) -> str:
    """All mistakes with their excerpts, in reading order."""
    return "\n\n".join(m.render() for m in sorted(mistakes)) + "\n"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean 'violence'?`, or the empty string where nothing is near."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{matches[0]}'?" if matches else ""


def dotted(path: Iterable[str | int]) -> str:
    """`("lists", "block", 3)` → `lists.block[3]`; a key with dots is quoted."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            out += ("." if out else "") + (f'"{part}"' if "." in part else part)
    return out
