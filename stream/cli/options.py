"""Options that several commands share, declared once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from moderation.labels import LabelCatalogue

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="Settings file (YAML). The environment (ADJUDICATE_…) wins over it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Catalogue = Annotated[
    Path | None,
    typer.Option("--catalogue", help="Label catalogue (YAML). Default: that of the settings, else the shipped one."),
]


def labels_of(catalogue: Path | None, settings: Path | None = None) -> "LabelCatalogue":
    """The catalogue of the option, else that of the settings. Raises CatalogueMistakes."""
    from moderation.labels import read_catalogue
    from stream.settings import read_settings

    return read_catalogue(catalogue) if catalogue else read_settings(settings).labels()
