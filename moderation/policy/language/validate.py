"""From a parsed file to the schema: every violation at its place, in words for the author."""

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from moderation.documents.mistakes import dotted, nearest
from moderation.documents.source import NodePath, Source
from moderation.events import one_line
from moderation.labels import LabelCatalogue
from moderation.policy.compile.lists import KINDS
from moderation.policy.language.checks import check_beyond_schema, check_cuts, written_path
from moderation.policy.language.hints.lists import bare_hint, list_hint
from moderation.policy.language.hints.numbers import probability_hint, split_decimal, whole_number_hint
from moderation.policy.language.hints.words import list_verdict_hint, switch_hint
from moderation.policy.language.moments import written
from moderation.policy.language.schema import PolicyFile, policy_file

_EXPECTED: Final = {
    "string_type": ("a text", ""),
    "string_too_short": ("a text", ""),
    "string_too_long": ("a shorter text", ""),
    "string_pattern_mismatch": ("a name without slashes, not beginning with a space", ""),
    "int_type": ("a whole number", ""),
    "int_from_float": ("a whole number", ""),
    "float_type": ("a number", ""),
    "bool_type": ("true or false, without quotes", ""),
    "dict_type": ("keys with values", "write `key: value` lines, indented below"),
    "model_type": ("keys with values", "write `key: value` lines, indented below"),
    "model_attributes_type": ("keys with values", "write `key: value` lines, indented below"),
    "tuple_type": ("a list", "write [a, b], or one `- item` per line"),
    "too_short": ("at least one entry", ""),
    "less_than_equal": ("at most {le}", ""),
    "greater_than_equal": ("at least {ge}", ""),
}


def validate(source: Source, labels: LabelCatalogue) -> PolicyFile | None:
    """The file as a policy, or None with every violation noted in `source.mistakes`."""
    if not isinstance(source.value, dict):
        if not source.mistakes:
            source.add((), "this is not a policy", "keys with values, e.g. `client: my-brand`")
        return None
    check_beyond_schema(source)
    policy = _by_schema(source, labels)
    if policy is None:
        check_cuts(source)
    return None if source.mistakes else policy


def _by_schema(source: Source, labels: LabelCatalogue) -> PolicyFile | None:
    noted = {(mistake.line, mistake.column) for mistake in source.mistakes}
    try:
        return policy_file(source.value, labels)
    except ValidationError as error:
        before = len(source.mistakes)
        for violation in _without_followers(error.errors(include_url=False)):
            _note(source, violation)
        new = source.mistakes[before:]
        source.mistakes[before:] = [m for m in new if (m.line, m.column) not in noted]
        return None


def _without_followers(violations: Sequence[Any]) -> Iterator[Any]:
    """A list whose entries are refused is also too short; that is no second mistake."""
    places = [violation["loc"] for violation in violations]
    for violation in violations:
        here = violation["loc"]
        if violation["type"] != "too_short" or not any(p[: len(here)] == here and p != here for p in places):
            yield violation


def _note(source: Source, violation: Mapping[str, Any]) -> None:
    at_key = violation["loc"][-1:] == ("[key]",)
    path = written_path(source, tuple(violation["loc"][:-1] if at_key else violation["loc"]))
    kind, found = violation["type"], violation.get("ctx", {})
    if kind == "policy" and path[-1:] == ("when",):
        _note_expression(source, path, found, violation["input"])
    elif kind == "policy":
        source.add(path, found["problem"], found["expected"], found["hint"], key=at_key)
    elif kind == "extra_forbidden":
        known = _keys_at(PolicyFile, path[:-1])
        expected = f"one of {', '.join(known)}"
        source.add(path, f"unknown key '{path[-1]}'", expected, _key_hint(source, path, known), key=True)
    elif kind == "missing":
        source.add(path[:-1], f"'{path[-1]}' is missing", _MISSING.get(str(path[-1]), "a value"))
    else:
        _note_other(source, path, violation)


_MISSING: Final = {
    "when": "a CEL expression",
    "verdict": "allow, review or block",
    "share": "a number from 0 to 1",
    "countries": "a list of countries",
    "from": "a date",
    "until": "a date",
}


def _note_other(source: Source, path: NodePath, violation: Mapping[str, Any]) -> None:
    kind, value = violation["type"], violation["input"]
    expected, hint = _EXPECTED.get(kind, ("", ""))
    expected = expected.format(**violation.get("ctx", {}))
    expected = expected or violation["msg"].removeprefix("Input should be ")
    if value is None:
        source.add(path, "the value is empty", expected, "give a value, or remove the key")
    elif isinstance(value, bool) and kind == "string_type":
        source.add(path, f"{str(value).lower()} is a boolean", expected, "put quotes around it")
    elif isinstance(value, dict | list):
        shape = "a mapping" if isinstance(value, dict) else "a list"
        source.add(path, f"{shape} stands here", expected, bare_hint(value) if kind in _SCALAR_TYPES else hint)
    else:
        expected, hint = _for_scalar(kind, path, value, expected, hint)
        source.add(path, f"'{one_line(written(value), 60)}' does not fit here", expected, hint)


_SCALAR_TYPES: Final = frozenset({"string_type", "int_type", "float_type", "bool_type", "literal_error"})
_MODEL_TYPES: Final = frozenset({"model_type", "model_attributes_type", "dict_type"})


def _for_scalar(kind: str, path: NodePath, value: Any, expected: str, hint: str) -> tuple[str, str]:
    """The expectation and a hint for one wrong value."""
    if kind == "tuple_type" or (kind in _MODEL_TYPES and _is_entry_list(path)):
        return "a list", list_hint(written(value))
    if kind == "bool_type":
        return expected, switch_hint(written(value))
    if kind == "int_type":
        return expected, whole_number_hint(value)
    if kind.startswith("float") or kind in {"less_than_equal", "greater_than_equal"}:
        return expected, probability_hint(value, "shares") if path[-1:] == ("share",) else ""
    return expected, hint


def _is_entry_list(path: NodePath) -> bool:
    return path[:1] == ("lists",) and path[-1] in KINDS


def _key_hint(source: Source, path: NodePath, known: tuple[str, ...]) -> str:
    key, place = str(path[-1]), source.place(path)
    if key == "perceptual_hash" and path[:2] == ("lists", "allow"):
        return "perceptual hashes may only block or review: collisions can be made"
    if decimal := split_decimal(source.line(place.key_line), place.key_column):
        return decimal
    if path[:-1] == ("lists",) and (meant := list_verdict_hint(key)):
        return meant
    if near := nearest(key, known):
        return near
    if key in _keys_at(PolicyFile, ()):
        return f"`{key}` belongs at the top level"
    return ""


def _keys_at(model: Any, path: NodePath) -> tuple[str, ...]:
    """The keys that the schema knows at a path."""
    kind = _bare(model)
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            by_key = {info.alias or name: info.annotation for name, info in kind.model_fields.items()}
            kind = _bare(by_key.get(str(part)))
        elif get_origin(kind) is dict:
            kind = _bare(get_args(kind)[1])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return tuple(info.alias or name for name, info in kind.model_fields.items())
    return ()


def _bare(kind: Any) -> Any:
    """A type without Annotated and without `| None`."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in {Union, types.UnionType}:
        return _bare(next(a for a in get_args(kind) if a is not type(None)))
    return kind


def _note_expression(source: Source, path: NodePath, found: Mapping[str, Any], text: str) -> None:
    """At the word itself, where the expression is on one line and unchanged."""
    place = source.place(path)
    at = source.line(place.line).find(text, place.column - 1)
    column = at + 1 + found["offset"] if at >= 0 and "\n" not in text else place.column
    source.add_at(place.line, column, dotted(path), found["problem"], found["expected"], found["hint"])
