"""Decisions and scores as tables for a terminal."""

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from moderation.events import Decision, one_line
from stream.cli.terminal import VERDICT_STYLE
from stream.demo import explain
from stream.demo.judged import VERDICTS, Judged
from stream.demo.report import Run

MOST_ROWS: Final = 150


def print_decisions(console: Console, images: Iterable[Judged]) -> None:
    """One row per image and client: the verdict, and the rule, label, score and threshold behind it.

    Where the content of an image is known, the expected verdict is beside the verdict. A different one is a miss.
    """
    images = list(images)
    expected = [("Expected", None)] if any(image.expected for image in images) else []
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, ratio in (("Image", 4), ("Client", 3), ("Verdict", None), *expected, ("Rule", 5), ("Label", 3)):
        table.add_column(name, ratio=ratio, overflow="fold", no_wrap=ratio is None)
    for name in ("Score", "Threshold"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [(image, decision) for image in images for decision in image.decisions]
    for image, decision in rows[:MOST_ROWS]:
        first = decision is image.decisions[0]
        client, verdict, *why = _cells(decision)
        wanted = [_expected_cell(image, decision)] if expected else []
        table.add_row(Text(one_line(image.name) if first else ""), client, verdict, *wanted, *why)
    console.print(table)
    if len(rows) > MOST_ROWS:
        console.print(f"… and {len(rows) - MOST_ROWS:,} more rows, see the report", style="dim", highlight=False)


def _expected_cell(image: Judged, decision: Decision) -> Text:
    if decision.client not in image.expected:
        return Text("")
    missed = image.miss(decision)
    return Text(f"{missed.value} (miss)", style="bold") if missed else Text(decision.verdict.value, style="dim")


def _cells(decision: Decision) -> list[Text]:
    verdict = Text(decision.verdict.value, style=f"bold {VERDICT_STYLE[decision.verdict.value]}")
    seen = explain.evidence(decision)
    label, score = (seen.label, f"{seen.score:.2f}") if seen else (explain.outcome(decision), "")
    threshold = f"{seen.threshold:.2f}" if seen and seen.threshold is not None else ""
    return [Text(decision.client), verdict, Text(explain.rule(decision)), Text(label), Text(score), Text(threshold)]


def print_clients(console: Console, run: Run) -> None:
    """How many of each verdict every client has."""
    table = Table("Client", box=None, pad_edge=False, header_style="dim")
    for verdict in VERDICTS:
        table.add_column(Text(verdict.value, style=VERDICT_STYLE[verdict.value]), justify="right")
    for client in run.clients:
        table.add_row(Text(client), *(f"{run.count(client, verdict):,}" for verdict in VERDICTS))
    console.print(table)
