"""`adjudicate score` and `adjudicate decide`: the two workers."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from stream.cli.options import SettingsFile
from stream.cli.terminal import print_line


def score(settings: SettingsFile = None) -> None:
    """Run a scoring worker. It reads creatives and pages, and writes scores."""
    from stream.settings import read_settings
    from stream.start_score import run_score

    run_score(read_settings(settings))


def decide(
    settings: SettingsFile = None,
    replay: Annotated[
        datetime | None,
        typer.Option(
            help="Decide again everything scored since this time, by the present policies, then end. "
            "A time without a zone is UTC."
        ),
    ] = None,
) -> None:
    """Run a deciding worker. It reads scores, and writes one decision for each client concerned."""
    from stream import replay as tool
    from stream.settings import read_settings
    from stream.start_decide import run_decide

    if replay is None:
        run_decide(read_settings(settings))
    else:
        summary = tool.replay(read_settings(settings), replay.replace(tzinfo=replay.tzinfo or UTC))
        print_line(summary or "stopped before the end; the same command resumes there")
