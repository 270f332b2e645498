"""The command line. Each command imports what it needs when it runs, so `--help` is quick and needs no extra."""

from typing import Annotated

import typer

from stream.cli import demo, model, policy, sandbox, schema, settings, verify, workers
from stream.cli.errors import run_command
from stream.cli.terminal import print_line
from stream.version import __version__

app = typer.Typer(
    name="adjudicate",
    help="Brand-safety stream processor: score every image once, decide for every client.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"adjudicate {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


app.command()(workers.score)
app.command()(workers.decide)
app.command()(settings.settings)
app.command()(schema.schema)
app.command()(verify.verify)
app.command()(sandbox.sandbox)
app.command()(demo.demo)
app.command()(demo.classify)
app.add_typer(policy.policy)
app.command()(model.train)
app.command()(model.evaluate)
app.command()(model.export)
app.command()(model.assemble)


def main() -> None:
    """Entry point."""
    from stream.logs import configure_logs
    from stream.signals import accept_stop_signals

    accept_stop_signals()
    configure_logs("warning")
    run_command(app)
