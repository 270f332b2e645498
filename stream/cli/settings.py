"""`adjudicate settings`: the settings in force, and the reference page of every key."""

import json
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
    as_variables: Annotated[
        bool, typer.Option("--variables", help="Print environment variables instead of YAML.")
    ] = False,
) -> None:
    """Print the settings in force (secrets masked), or with --docs the reference of every key."""
    from stream.settings import read_settings

    if docs:
        print_line(reference().rstrip())
    elif as_variables:
        for line in variables(read_settings(file)):
            print_line(line)
    else:
        print_line(yaml.safe_dump(read_settings(file).model_dump(mode="json"), sort_keys=False).rstrip())


def variables(read: BaseModel) -> list[str]:
    """`NAME=value` for every setting that has a value; a list as JSON, the form of a list in a variable."""
    from stream.setting_mistakes import setting_fields, variable_of

    lines = []
    for path, _ in setting_fields(type(read)):
        value: Any = read.model_dump(mode="json")
        for part in path:
            value = value[part]
        if value is not None:
            lines.append(f"{variable_of(path)}={json.dumps(value) if isinstance(value, list) else value}")
    return lines


def reference() -> str:
    """The reference page, from the descriptions of the settings."""
    from stream.setting_mistakes import setting_fields
    from stream.settings import Settings

    rows = "\n".join(_row(path, field) for path, field in setting_fields(Settings))
    return f"""# Settings

This page is the output of `adjudicate settings --docs`. A setting comes from one of three places, and the first wins:

1. the environment, as the variable in the table
2. a file named like that variable, in the folder `ADJUDICATE_SECRETS_DIR`
3. the YAML file of `--settings`, in its section (`kafka: {{bootstrap_servers: …}}`)

A list has the same form in YAML and in a variable: `ADJUDICATE_FETCH__PORTS='[80, 443]'`. A variable that begins with
`ADJUDICATE_` and is no setting is a mistake, as is an unknown key. `adjudicate settings` prints the settings in force.
With `--variables` it prints them as variables.

| key | variable | default | meaning |
|---|---|---|---|
{rows}
"""


def _row(path: tuple[str, ...], field: FieldInfo) -> str:
    from stream.setting_mistakes import variable_of

    return f"| `{'.'.join(path)}` | `{variable_of(path)}` | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the host's name"
    value: Any = field.default
    if value is None or value == "":
        return ""
    return f"`{json.dumps(list(value))}`" if isinstance(value, tuple) else f"`{value}`"
