"""Mistakes in settings, in words: the key, the variable, the value where it is no secret, and the remedy."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

PREFIX: Final = "ADJUDICATE_"
_FOR_TESTS: Final = f"{PREFIX}TEST_"
_KUBERNETES: Final = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)")
"""Kubernetes puts these into every container for a service whose name begins with `adjudicate`."""
_LONGEST_VALUE: Final = 80

Path = tuple[str, ...]


def variable_of(path: Iterable[object]) -> str:
    return PREFIX + "__".join(str(part).upper() for part in path)


def setting_fields(model: type[BaseModel], path: Path = ()) -> Iterator[tuple[Path, FieldInfo]]:
    """Every setting, by its path of section and name."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from setting_fields(kind, (*path, name))
        else:
            yield (*path, name), field


def find_unknown(model: type[BaseModel], given: Mapping[str, str], others: Iterable[str]) -> list[str]:
    """A line for each variable, or secret file, that looks like a setting and is none. Values may be secrets."""
    fields = [path for path, _ in setting_fields(model)]
    sections = {path[:1] for path in fields}
    known = {variable_of(path) for path in (*fields, *sections)} | set(others)
    unknown = [name for name, value in given.items() if name.upper() not in known and _is_meant(name.upper(), value)]
    return [f"{name} is no setting; {_nearest(name.upper(), sorted(known))}" for name in sorted(unknown)]


def _is_meant(name: str, value: str) -> bool:
    is_link = bool(_KUBERNETES.search(name)) or (name.endswith("_PORT") and "://" in value)
    return name.startswith(PREFIX) and not name.startswith(_FOR_TESTS) and not is_link


def _nearest(name: str, known: list[str]) -> str:
    # One underscore for two is the commonest slip.
    found = [each for each in known if each.replace("__", "_") == name.replace("__", "_")]
    names = {each.removeprefix(PREFIX): each for each in known}
    found = found or [names[near] for near in get_close_matches(name.removeprefix(PREFIX), names, 1)]
    return f"did you mean {found[0]}?" if found else "docs/settings.md lists them all"


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """One line for each mistake. A single mistake is on the first line."""
    fields = dict(setting_fields(model))
    lines = [_line(mistake, fields) for mistake in error.errors(include_url=False)]
    return f"{where}: {lines[0]}" if len(lines) == 1 else "\n  ".join([f"{where}: {len(lines)} wrong", *lines])


def _line(mistake: Any, fields: Mapping[Path, FieldInfo]) -> str:
    path = tuple(map(str, mistake["loc"]))
    key, message = ".".join(path), mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "extra_forbidden":
        near = get_close_matches(key, [".".join(known) for known in fields], 1)
        message = f"no such key; did you mean {near[0]}?" if near else "no such key; docs/settings.md lists them all"
    return f"{key} ({variable_of(path)}){_value(path, mistake['input'], fields)}: {message}"


def _value(path: Path, value: object, fields: Mapping[Path, FieldInfo]) -> str:
    """` is VALUE` for a single setting that is no secret. The value of an unknown key could be one."""
    field = fields.get(path[:2]) or fields.get(path[:1])
    if field is None or "SecretStr" in str(field.annotation) or isinstance(value, (BaseModel, dict, SecretStr)):
        return ""
    return f" is {value!r}"[:_LONGEST_VALUE]
