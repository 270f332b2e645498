"""`adjudicate score` and `adjudicate decide`: the two workers."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from stream.cli.options import SettingsFile


def score(settings: SettingsFile = None) -> None:
    """Run a scoring worker: creatives and pages in, scores out."""
    from stream.settings import read_settings
    from stream.start_score import run_score

    run_score(read_settings(settings))


def decide(
    settings: SettingsFile = None,
    replay: Annotated[
        datetime | None,
        typer.Option(help="Decide again what was scored since this time (UTC), by today's policies, then end."),
    ] = None,
) -> None:
    """Run a deciding worker: scores in, one decision for each client concerned out."""
    from stream.settings import read_settings
    from stream.start_decide import run_decide, run_replay

    if replay is None:
        run_decide(read_settings(settings))
    else:
        run_replay(read_settings(settings), replay.replace(tzinfo=replay.tzinfo or UTC))
