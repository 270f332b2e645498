"""From a parsed file to the schema: every violation in the author's words, at its place."""

import types
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from moderation.events import Verdict, one_line
from moderation.policy.expressions import Expression, ExpressionMistake, compile_expression
from moderation.policy.lists import EntryMistake, canonical
from moderation.policy.mistakes import nearest
from moderation.policy.schema import AllowList, PolicyFile
from moderation.policy.source import NodePath, Source

_IDENTITIES: Final = ("organisation", "client", "campaign")
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
    "literal_error": ("", ""),
    "enum": ("", ""),
}


def validate(source: Source) -> PolicyFile | None:
    """The file as a policy, or None with every violation noted in `source.mistakes`."""
    if not isinstance(source.value, dict):
        if not source.mistakes:
            source.add((), "this is not a policy", "keys with values, e.g. `client: my-brand`")
        return None
    before = len(source.mistakes)
    try:
        policy = PolicyFile.model_validate(source.value)
    except ValidationError as error:
        for violation in error.errors(include_url=False):
            _note(source, violation)
        return None
    _check_identity(source, policy)
    _check_dates(source, policy)
    _check_entries(source, policy)
    return policy if len(source.mistakes) == before else None


def compile_rules(source: Source, policy: PolicyFile) -> dict[str, Expression]:
    """The file's own CEL rules by name; those that do not compile are noted."""
    compiled: dict[str, Expression] = {}
    for name, rule in policy.rules.items():
        try:
            compiled[name] = compile_expression(rule.when)
        except ExpressionMistake as mistake:
            _note_expression(source, ("rules", name, "when"), mistake)
    return compiled


def written_path(source: Source, path: NodePath) -> NodePath:
    """The path as the author wrote it: a bare list stands for its `entries`."""
    if path not in source.places and "entries" in path:
        at = path.index("entries")
        return (*path[:at], *path[at + 1 :])
    return path


def _note(source: Source, violation: Mapping[str, Any]) -> None:
    at_key = violation["loc"][-1:] == ("[key]",)
    path = written_path(source, tuple(violation["loc"][:-1] if at_key else violation["loc"]))
    kind, found = violation["type"], violation.get("ctx", {})
    if kind == "policy":
        source.add(path, found["problem"], found["expected"], found["hint"], key=at_key)
    elif kind == "extra_forbidden":
        known = _keys_at(PolicyFile, path[:-1])
        expected = f"one of {', '.join(known)}"
        source.add(path, f"unknown key '{path[-1]}'", expected, _key_hint(str(path[-1]), path, known), key=True)
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
    expected, hint = _EXPECTED.get(violation["type"], ("", ""))
    expected = expected or violation["msg"].removeprefix("Input should be ")
    value = violation["input"]
    if value is None:
        source.add(path, "the value is empty", expected, "give a value, or remove the key")
    elif isinstance(value, bool) and violation["type"] == "string_type":
        source.add(path, f"{str(value).lower()} is a boolean", expected, "put quotes around it")
    elif isinstance(value, dict | list):
        shape = "a mapping" if isinstance(value, dict) else "a list"
        source.add(path, f"{shape} stands here", expected, hint)
    else:
        source.add(path, f"'{one_line(str(value), 60)}' does not fit here", expected, hint)


def _key_hint(key: str, path: NodePath, known: tuple[str, ...]) -> str:
    if key == "perceptual_hash" and path[:2] == ("lists", "allow"):
        return "perceptual hashes may only block or review: collisions can be made"
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


def _check_identity(source: Source, policy: PolicyFile) -> None:
    given = [name for name in _IDENTITIES if getattr(policy, name) is not None]
    if not given:
        source.add(
            (), "the policy does not say whose it is", "one of client, organisation, campaign", "add `client: NAME`"
        )
    for extra in given[1:]:
        source.add(
            (extra,), f"{given[0]} and {extra} stand in one file", "one of client, organisation, campaign", key=True
        )
    if policy.campaign and not policy.extends:
        source.add(("campaign",), "a campaign belongs to a client", "`extends: CLIENT`", key=True)
    if policy.organisation and policy.shadow:
        source.add(("shadow",), "an organisation decides nothing, so it has no shadow", "", "remove it", key=True)


def _check_dates(source: Source, policy: PolicyFile) -> None:
    _check_order(source, ("valid_until",), policy.valid_from, policy.valid_until, "valid_from")
    if policy.political:
        for name, window in policy.political.blackouts.items():
            path = ("political", "blackouts", name, "until")
            _check_order(source, path, window.start, window.end, "from")


def _check_order(source: Source, path: NodePath, start: datetime | None, end: datetime | None, start_name: str) -> None:
    if start and end and end < start:
        problem = f"{path[-1]} ({end:%Y-%m-%d}) lies before {start_name} ({start:%Y-%m-%d})"
        source.add(path, problem, f"a date from {start:%Y-%m-%d} on", "swap the two dates?")


def _check_entries(source: Source, policy: PolicyFile) -> None:
    seen: dict[tuple[str, str], NodePath] = {}
    for verdict in Verdict:
        each: AllowList = getattr(policy.lists, verdict.value)
        for kind in type(each).model_fields:
            entries = getattr(each, kind)
            for index, entry in enumerate(entries.entries if entries else ()):
                path = written_path(source, ("lists", verdict.value, kind, "entries", index))
                _check_entry(source, path, kind, entry, seen)


def _check_entry(source: Source, path: NodePath, kind: str, entry: str, seen: dict[tuple[str, str], NodePath]) -> None:
    try:
        key = (kind, canonical(kind, entry))
    except EntryMistake as mistake:
        source.add(path, mistake.problem, mistake.expected, mistake.hint)
        return
    other = seen.setdefault(key, path)
    if other[1] != path[1]:
        line = source.place(other).line
        problem = f"'{entry}' also stands in lists.{other[1]}, on line {line}"
        source.add(path, problem, "an entry in one list", "remove one of the two")


def _note_expression(source: Source, path: NodePath, mistake: ExpressionMistake) -> None:
    place = source.place(path)
    line = source.line(place.line)
    text = source.value["rules"][path[1]]["when"]
    at = line.find(text, place.column - 1) if "\n" not in text else -1
    column = at + 1 + mistake.offset if at >= 0 else place.column
    source.add_at(place.line, column, ".".join(map(str, path)), mistake.problem, mistake.expected, mistake.hint)
