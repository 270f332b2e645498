"""`adjudicate verify`: read the topics and check for exactly one decision for every event and client."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.options import AsJson, SettingsFile
from stream.cli.terminal import console, notices, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from stream.history import ClientsOf, History, Topics
    from stream.kafka import Record
    from stream.settings import KafkaSettings, Settings
    from stream.verify import Findings

_SHOWN = 20


def verify(  # noqa: PLR0913, PLR0917 - each is an option of the command
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="Input topic; may repeat. (default: creatives and pages)")
    ] = None,
    outputs: Annotated[
        list[str] | None, typer.Option("--output", help="Decision topic; may repeat. (default: the three)")
    ] = None,
    rejects: Annotated[str | None, typer.Option(help="Topic of the rejects. (default: that of the settings)")] = None,
    scores: Annotated[str | None, typer.Option(help="Topic of the scores, to count them too.")] = None,
    policies: Annotated[
        Path | None,
        typer.Option(help="Folder of policies. They decide which clients an event concerns that names none."),
    ] = None,
    clients: Annotated[str | None, typer.Option(help="Expect these clients instead, separated by commas.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for missing answers.", min=0)] = 0.0,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Check that every event has exactly one decision for each client, and every unparsable record one reject.

    The command reads the topics from their beginnings as a read-committed consumer, and changes nothing. Without
    --policies or --clients, it takes the clients that decided on any event that names none, and expects them on
    all such events. The exit code is 0 without findings and 1 with findings.
    """
    from moderation.errors import ConfigurationError
    from stream.history import Topics
    from stream.settings import read_settings

    if policies is not None and clients is not None:
        raise ConfigurationError("--policies and --clients both say which clients there are; give one of them")
    read = read_settings(settings)
    topics = Topics(
        inputs or [read.topics.creatives, read.topics.pages],
        outputs or [read.topics.allow, read.topics.review, read.topics.block],
        rejects or read.topics.rejects,
        scores,
    )
    everyone = frozenset(name.strip() for name in clients.split(",")) if clients is not None else None
    history, findings = examine(read.kafka, topics, _clients_of(policies, read), everyone, wait, notices())
    if as_json:
        print_json(as_report(history, findings))
    else:
        _show(history, findings)
    raise typer.Exit(0 if findings.are_none else 1)


def examine(
    kafka: "KafkaSettings",
    topics: "Topics",
    clients_of: "ClientsOf",
    everyone: frozenset[str] | None = None,
    wait_s: float = 0.0,
    console: "Console | None" = None,
) -> "tuple[History, Findings]":
    """Read and judge, and repeat for `wait_s` while answers are only missing. Raises BrokerError."""
    from stream.history import History, asked, note_outputs, records_of
    from stream.verify import judge

    deadline = time.monotonic() + wait_s
    questions = list(asked(_counted(records_of(kafka, topics.inputs), "inputs", console), clients_of))
    answer_topics = [*topics.outputs, topics.rejects, *([topics.scores] if topics.scores else [])]
    while True:
        history = History(asked=questions, everyone=everyone)
        note_outputs(history, _counted(records_of(kafka, answer_topics), "answers", console), topics)
        findings = judge(history)
        if findings.are_none or not findings.may_pass_with_time or time.monotonic() >= deadline:
            return history, findings
        time.sleep(0.5)


def as_report(history: "History", findings: "Findings") -> dict[str, object]:
    """The findings as JSON values, with the number of records read."""
    kinds = {kind: [_named(item) for item in getattr(findings, kind)] for kind in findings.__slots__}
    return {"ok": findings.are_none, "looked_at": _looked_at(history), **kinds}


def _named(item: tuple[object, ...]) -> dict[str, object]:
    return item._asdict() if hasattr(item, "_asdict") else {"place": item}


def _clients_of(policies: Path | None, settings: "Settings") -> "ClientsOf":
    from stream.history import clients_by_history, clients_by_policies

    if policies is None:
        return clients_by_history
    from moderation.policy import load

    return clients_by_policies(load(policies, settings.labels()))


def _counted(records: "Iterable[Record]", what: str, console: "Console | None") -> "Iterable[Record]":
    """The records unchanged. The terminal shows their number meanwhile."""
    if console is None or not console.is_terminal:
        yield from records
        return
    with console.status(f"reading {what}") as status:
        for count, record in enumerate(records, start=1):
            if count % 1000 == 0:
                status.update(f"reading {what}: {count:,}")
            yield record


def _looked_at(history: "History") -> dict[str, int]:
    return {
        "input_records": len(history.asked),
        "events": len({asked.event_id for asked in history.asked if asked.event_id is not None}),
        "decisions": history.decided.total(),
        "rejects": history.rejected.total() + history.rejected_scores.total(),
    }


def _show(history: "History", findings: "Findings") -> None:
    from rich.table import Table

    shown = console()
    table = Table("finding", "number", "the first of them")
    for kind in findings.__slots__:
        items = getattr(findings, kind)
        table.add_row(kind.replace("_", " "), str(len(items)), "\n".join(map(_line, items[:_SHOWN])))
    shown.print(table)
    counts = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in _looked_at(history).items())
    shown.print(f"{counts}: {'all well' if findings.are_none else 'NOT as promised'}")


def _line(item: tuple[object, ...]) -> str:
    return " ".join(f"{name}={value}" for name, value in _named(item).items() if value is not None)
