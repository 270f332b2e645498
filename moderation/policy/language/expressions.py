"""Rules in CEL: compiled once, checked against the known fields, and never an allow where they err.

The only import of `cel` (common-expression-language, the Rust implementation).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import cel

from moderation.documents.mistakes import nearest
from moderation.policy.language.hints.labels import label_hint

MAX_LENGTH: Final = 2000
FIELDS: Final[Mapping[str, str]] = {
    "surface": "text: creative or page",
    "scores": 'map: label to score, 0..1; scores.violence, scores["violence.weapon"]; an unscored label errs',
    "uncertainty": "number 0..1, or null",
    "crid": "text, empty where absent",
    "adomain": "list of text: hosts in lower case and ASCII",
    "seat": "text, empty where absent",
    "campaign": "text, empty where absent",
    "deal": "text, empty where absent",
    "page_url": "text without query string, path as RFC 3986 normalises it, empty where absent",
    "domain": "text: a host in lower case and ASCII, empty where absent",
    "country": "text, ISO 3166-1 alpha-2, empty where absent",
    "cattax": "number; 1 where there are categories and it is absent; null without categories",
    "cat": "list of text",
    "declared_political": "true, false or null",
    "impressions": "number, or null",
    "width": "pixels, or null",
    "height": "pixels, or null",
    "frames": "number, or null",
    "format": "text, empty where absent",
    "now": "timestamp of the decision",
}
"""What an expression may name, and what it is."""

FUNCTIONS: Final = frozenset(
    [
        "size",
        "has",
        "all",
        "exists",
        "exists_one",
        "map",
        "filter",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "timestamp",
        "duration",
        "type",
        "dyn",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    ]
)
_TYPE_NAMES: Final = frozenset(["int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type"])
_STRINGS: Final = re.compile(r"r?('''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")", re.DOTALL)
_BOUND: Final = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_SCORE_FIELD: Final = re.compile(r"\bscores\s*\.\s*([A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)")
_SCORE_KEY: Final = re.compile(r"""\bscores\s*\[\s*r?(["'])([^"']*)\1\s*\]""")
_SCORE_IN: Final = re.compile(r"""r?(["'])([^"']*)\1\s+in\s+scores\b""")
_ERRORS: Final = (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError)


class ExpressionMistake(ValueError):
    """An expression that may not go live."""

    def __init__(self, problem: str, expected: str = "", hint: str = "", offset: int = 0) -> None:
        super().__init__(problem)
        self.problem, self.expected, self.hint = problem, expected, hint
        self.offset = offset


class ExpressionError(Exception):
    """An expression that erred while deciding; `str()` says why in one line."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled rule. `labels` are those it names; `reads_scores` where an unexamined image has no answer."""

    text: str
    program: Any
    labels: tuple[str, ...]
    reads_scores: bool

    def reads(self, fields: Iterable[str]) -> list[str]:
        """Which of some fields it names."""
        named = set(self.program.variables())
        return [field for field in fields if field in named]

    def fires(self, context: "cel.Context") -> bool:
        """Whether the rule is true. Raises ExpressionError where it errs or is not a boolean."""
        try:
            answer = self.program.execute(context)
        except _ERRORS as error:
            raise ExpressionError(_one_line(error)) from error
        if not isinstance(answer, bool):
            raise ExpressionError(f"answered {type(answer).__name__}, not true or false")
        return answer


@lru_cache(maxsize=4096)
def compile_expression(text: str, known_labels: tuple[str, ...]) -> Expression:
    """Compile and check one rule. Raises ExpressionMistake."""
    if len(text) > MAX_LENGTH:
        raise ExpressionMistake(f"the expression has {len(text)} characters", f"at most {MAX_LENGTH}")
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise _syntax(text, error) from None
    _check_names(text, program)
    _check_labels(text, known_labels)
    labels = tuple(dict.fromkeys(label for label, _ in _labels(text)))
    expression = Expression(
        text, program, labels, "scores" in program.variables() or "uncertainty" in program.variables()
    )
    _try_out(expression, known_labels)
    return expression


def context(values: Mapping[str, Any]) -> "cel.Context":
    """One event's fields, made once and used by every rule."""
    return cel.Context(variables=dict(values))


def _syntax(text: str, error: ValueError) -> ExpressionMistake:
    found = re.search(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)", str(error))
    if not found:
        return ExpressionMistake("the expression does not compile", "a CEL expression")
    line, column, what = int(found[1]), int(found[2]), found[3].split(" expecting {")[0]
    offset = sum(len(part) + 1 for part in text.split("\n")[: line - 1]) + column - 1
    return ExpressionMistake(f"the expression does not compile: {what}", "a CEL expression", _syntax_hint(text), offset)


def _syntax_hint(text: str) -> str:
    bare = _STRINGS.sub("", text)
    if re.search(r"\b(and|or|not)\b", bare, re.IGNORECASE):
        return "CEL writes && for and, || for or, ! for not"
    return "CEL compares with ==" if re.search(r"[^=!<>]=[^=]", bare) else ""


def _check_names(text: str, program: Any) -> None:
    bare = _STRINGS.sub(lambda found: " " * len(found[0]), text)
    bound = set(_BOUND.findall(bare))
    for name in program.variables():
        if name not in FIELDS and name not in bound and name not in _TYPE_NAMES:
            raise _unknown(bare, "field", name, FIELDS)
    for name in program.functions():
        if name.isidentifier() and not name.startswith("_") and name not in FUNCTIONS:
            raise _unknown(bare, "function", name, FUNCTIONS)


def _check_labels(text: str, known: tuple[str, ...]) -> None:
    for label, offset in _labels(text):
        if label not in known:
            expected = 'a known label, e.g. scores.violence or scores["violence.weapon"]'
            raise ExpressionMistake(f"unknown label '{label}'", expected, label_hint(label, known), offset)
        if "." in label and text[offset - 1 : offset] not in {'"', "'"}:
            hint = f'write scores["{label}"]'
            raise ExpressionMistake("a sub-label is a key of scores, not a field", hint, hint, offset)


def _unknown(bare: str, what: str, name: str, known: Any) -> ExpressionMistake:
    found = re.search(rf"(?<![\w.]){re.escape(name)}\b", bare) or re.search(rf"\b{re.escape(name)}\b", bare)
    expected = f"one of {', '.join(sorted(known))}" if what == "field" else "a CEL function"
    return ExpressionMistake(f"unknown {what} '{name}'", expected, nearest(name, known), found.start() if found else 0)


def _labels(text: str) -> Iterator[tuple[str, int]]:
    """Labels that an expression names, with where; `has(scores.x)` counts as naming it."""
    bare = _STRINGS.sub(lambda found: " " * len(found[0]), text)
    for found in _SCORE_FIELD.finditer(bare):
        yield re.sub(r"\s", "", found[1]), found.start(1)
    for pattern in (_SCORE_KEY, _SCORE_IN):
        for found in pattern.finditer(text):
            yield found[2], found.start(2)


_SAMPLE: Final[Mapping[str, Any]] = {
    "surface": "creative",
    "uncertainty": 0.5,
    "crid": "1",
    "adomain": ["example.com"],
    "seat": "1",
    "campaign": "1",
    "deal": "1",
    "page_url": "https://example.com/",
    "domain": "example.com",
    "country": "DE",
    "cattax": 9,
    "cat": ["386"],
    "declared_political": True,
    "impressions": 1,
    "width": 300,
    "height": 250,
    "frames": 1,
    "format": "PNG",
    "now": datetime(2026, 1, 1, tzinfo=UTC),
}


_TYPE_HINT: Final = "text compares with text and numbers with numbers; convert with string(x) or double(x)"


def _try_out(expression: Expression, labels: tuple[str, ...]) -> None:
    """Type errors show on any event; what depends on the event's content is left for deciding."""
    try:
        answer = expression.program.execute(context({**_SAMPLE, "scores": dict.fromkeys(labels, 0.5)}))
    except TypeError as error:
        raise ExpressionMistake("the expression mixes types", "operands of one type", _TYPE_HINT) from error
    except RuntimeError as error:
        if "regex" in str(error):
            why = str(error).rpartition("error: ")[2].partition(".")[0]
            raise ExpressionMistake(f"the pattern is not a regular expression: {why}", "an RE2 pattern") from None
        return
    except _ERRORS:
        return
    if not isinstance(answer, bool):
        raise ExpressionMistake(
            f"the expression answers {type(answer).__name__}",
            "true or false",
            "compare it, e.g. scores.violence >= 0.5",
        )


def _one_line(error: BaseException) -> str:
    text = f"no such key {error}" if isinstance(error, KeyError) else str(error)
    return re.sub(r"\s+", " ", text)[:200]
