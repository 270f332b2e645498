"""The command line. Each command imports what it needs when it runs, so `--help` is quick and needs no extra."""

import sys

import typer

from moderation.errors import AdjudicateError, BrokerError, ModelOverloaded, ModelUnavailable
from stream.cli import demo, model, policy, sandbox, schema, settings, verify, workers

app = typer.Typer(
    name="adjudicate",
    help="Brand-safety decisions in stream: score every image once, decide for every client.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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
