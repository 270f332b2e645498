"""`adjudicate sandbox`: the local stack, kept running until Ctrl-C or SIGTERM."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.options import AsJson
from stream.cli.terminal import console, print_json_line, print_notice

if TYPE_CHECKING:
    from stream.sandbox.sandbox import Sandbox


def sandbox(
    model_repository: Annotated[
        Path | None, typer.Option(help="Triton model repository. Default: that of the checkout.")
    ] = None,
    brokers: Annotated[
        int, typer.Option(min=1, max=5, help="Number of Kafka brokers. With 3, topics have 3 replicas.")
    ] = 1,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic.")] = 4,
    directory: Annotated[
        Path | None, typer.Option(help="Folder of data and logs. Default: a temporary folder, removed at the end.")
    ] = None,
    write_settings: Annotated[
        Path | None, typer.Option(help="File to write settings for `score` and `decide` to.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a local Kafka, Triton and Redis with all topics, until Ctrl-C.

    The first run fetches Kafka through Maven and Triton from PyPI into .sandbox/ (ADJUDICATE_SANDBOX_CACHE).
    """
    import signal

    from stream.sandbox.sandbox import Sandbox
    from stream.sandbox.triton_server import TritonOptions
    from stream.signals import accept_stop_signals

    accept_stop_signals()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = Sandbox(directory, brokers=brokers, triton_options=TritonOptions(model_repository=model_repository))
    try:
        with stack:
            stack.create_topics(partitions=partitions)
            if write_settings is not None:
                _write_settings(stack, write_settings)
            (_print_json if as_json else _print_table)(stack)
            stack.watch()
    except KeyboardInterrupt:
        print_notice("stopped")


def addresses(stack: "Sandbox") -> dict[str, str]:
    """Every address of a running sandbox, by name."""
    return {
        "broker": stack.kind,
        "kafka": stack.bootstrap_servers,
        "triton_grpc": stack.triton_grpc,
        "triton_http": stack.triton_http,
        "triton_metrics": stack.triton_metrics,
        "redis": stack.redis_url or "",
        "directory": str(stack.directory),
    }


def notices(stack: "Sandbox") -> list[str]:
    """What differs from production, and what to install for it."""
    missing = " and ".join(stack.missing_programs)
    mock = f"{missing} not found: Kafka is librdkafka's in-process mock, which proves nothing about delivery"
    lacking = "redis-server not found: scores are cached in the workers only"
    return [*([mock] if missing else []), *([] if stack.redis_url else [lacking])]


def _write_settings(stack: "Sandbox", path: Path) -> None:
    import yaml

    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(stack.settings, sort_keys=False))


def _print_json(stack: "Sandbox") -> None:
    print_json_line(addresses(stack))


def _print_table(stack: "Sandbox") -> None:
    from rich.table import Table

    table = Table(title="Sandbox is up; Ctrl-C stops it", title_justify="left", show_header=False)
    for name, address in addresses(stack).items():
        table.add_row(name, address or "not installed")
    shown = console()
    shown.print(table)
    for notice in notices(stack):
        shown.print(f"[yellow]{notice}")
