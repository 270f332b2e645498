"""Options that several commands share, declared once."""

from pathlib import Path
from typing import Annotated

import typer

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="YAML file; the environment (ADJUDICATE_…) wins over it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines instead of a table.")]
