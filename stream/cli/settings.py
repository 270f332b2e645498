"""`adjudicate settings`: what is in force, and the reference page of every key."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stream.cli.options import SettingsFile
from stream.cli.terminal import print_line


def settings(
    file: SettingsFile = None,
    docs: Annotated[bool, typer.Option("--docs", help="Print the reference of every key (docs/settings.md).")] = False,
) -> None:
    """Print the settings in force (secrets masked), or with --docs the reference of every key."""
    from stream.settings import read_settings

    if docs:
        print_line(reference().rstrip())
    else:
        print_line(yaml.safe_dump(read_settings(file).model_dump(mode="json"), sort_keys=False).rstrip())


def reference() -> str:
    """The reference page, from the settings' own descriptions."""
    from stream.settings import Settings

    rows = "\n".join(_row(path, field) for path, field in _fields(Settings))
    return f"""# Settings

Printed by `adjudicate settings --docs`. Each key may stand in the YAML file given by `--settings`
(`kafka: {{bootstrap_servers: …}}`), in a file of the folder `ADJUDICATE_SECRETS_DIR` named like the variable,
or in the environment, which wins.

| key | variable | default | |
|---|---|---|---|
{rows}
"""


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, (*path, name))
        else:
            yield (*path, name), field


def _row(path: tuple[str, ...], field: FieldInfo) -> str:
    variable = "ADJUDICATE_" + "__".join(path).upper()
    return f"| `{'.'.join(path)}` | `{variable}` | {_default(field)} | {field.description or ''} |"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the host's name"
    value: Any = field.default
    if value is None or value == "":
        return ""
    return f"`{', '.join(map(str, value))}`" if isinstance(value, tuple) else f"`{value}`"
