"""The command line. Each command imports what it needs when it runs, so `--help` is quick and needs no extra."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from moderation.errors import AdjudicateError, BrokerError, ModelOverloaded, ModelUnavailable
from stream import (
    model_commands,
    policy_commands,
    sandbox_commands,
    schema_commands,
    settings_commands,
    verify_commands,
)
from stream.demo import commands as demo_commands

app = typer.Typer(
    name="adjudicate",
    help="Brand-safety decisions in stream: score every image once, decide for every client.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="YAML file; the environment (ADJUDICATE_…) wins over it.")
]


@app.command()
def score(settings: SettingsFile = None) -> None:
    """Run a scoring worker: creatives and pages in, scores out."""
    from stream.settings import read_settings
    from stream.start_score import run_score

    run_score(read_settings(settings))


@app.command()
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


app.command()(settings_commands.settings)
app.command()(schema_commands.schema)
app.command()(verify_commands.verify)
app.command()(sandbox_commands.sandbox)
app.command()(demo_commands.demo)
app.command()(demo_commands.classify)
app.add_typer(policy_commands.policy)
app.command()(model_commands.train)
app.command()(model_commands.evaluate)
app.command()(model_commands.export)
app.command()(model_commands.assemble)


def main() -> None:
    """Entry point. An expected error is one message on standard error and exit code 2; 3 where a server is
    to blame, so that trying again may help.
    """
    from stream.logs import configure_logs

    configure_logs("warning")
    try:
        app()
    except AdjudicateError as error:
        sys.stderr.write(f"adjudicate: {error.explained()}\n")
        sys.exit(3 if isinstance(error, (BrokerError, ModelUnavailable, ModelOverloaded)) else 2)
