"""Decisions and scores as tables for a terminal."""

from collections.abc import Iterable, Mapping
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from moderation.events import Decision, Verdict
from moderation.labels import top_label
from stream.demo import explain
from stream.demo.classify import Classified
from stream.demo.outgoing import printable
from stream.demo.report import VERDICTS, Judged, Run

MOST_ROWS: Final = 150
COLOURS: Final = {Verdict.ALLOW: "green", Verdict.REVIEW: "yellow", Verdict.BLOCK: "red"}
_BAR_CELLS: Final = 10


def bar(score: float) -> str:
    """A score in 0..1 as ten cells."""
    full = round(score * _BAR_CELLS)
    return "█" * full + "░" * (_BAR_CELLS - full)


def print_decisions(console: Console, images: Iterable[Judged]) -> None:
    """One row per image and client: the verdict, and the rule, label, score and threshold behind it."""
    table = Table("Image", "Client", "Verdict", "Rule", "Label", box=None, pad_edge=False, header_style="dim")
    table.add_column("Score", justify="right")
    table.add_column("Threshold", justify="right")
    rows = [(image, decision) for image in images for decision in image.decisions]
    for image, decision in rows[:MOST_ROWS]:
        first = decision is image.decisions[0]
        table.add_row(Text(image.name if first else "", overflow="fold"), *_cells(decision))
    console.print(table)
    if len(rows) > MOST_ROWS:
        console.print(f"… and {len(rows) - MOST_ROWS} more rows; all of them are in the report", style="dim")


def _cells(decision: Decision) -> list[Text]:
    verdict = Text(decision.verdict.value, style=f"bold {COLOURS[decision.verdict]}")
    seen = explain.evidence(decision)
    label, score = (seen.label, f"{seen.score:.2f}") if seen else (explain.outcome(decision), "")
    threshold = f"{seen.threshold:.2f}" if seen and seen.threshold is not None else ""
    return [Text(decision.client), verdict, Text(explain.rule(decision)), Text(label), Text(score), Text(threshold)]


def print_clients(console: Console, run: Run) -> None:
    """How many of each verdict every client has."""
    table = Table("Client", box=None, pad_edge=False, header_style="dim")
    for verdict in VERDICTS:
        table.add_column(Text(verdict.value, style=COLOURS[verdict]), justify="right")
    for client in run.clients:
        table.add_row(Text(client), *(f"{run.count(client, verdict):,}" for verdict in VERDICTS))
    console.print(table)


def print_scores(console: Console, found: Iterable[Classified]) -> None:
    """One row per image with a bar for each top label, as they come, and a line of sub-labels that stand out."""
    for each in found:
        name = Text(printable(each.path), style="bold", overflow="fold")
        if each.scores is None:
            console.print(name, Text(f"{each.status.value}: {each.detail}", style="yellow"))
            continue
        facts = f"{each.image.format} {each.image.width} × {each.image.height}" if each.image else ""
        console.print(name, Text(f"{facts}, uncertainty {each.uncertainty:.2f}", style="dim"))
        for label in (label for label in each.scores if label == top_label(label)):
            console.print(*_label_line(label, each.scores))


def _label_line(label: str, scores: Mapping[str, float]) -> list[Text]:
    subs = sorted((s for s in scores if s != label and top_label(s) == label), key=scores.__getitem__, reverse=True)
    notable = ", ".join(f"{sub.partition('.')[2]} {scores[sub]:.2f}" for sub in subs[:3])
    score = scores[label]
    return [Text(f"  {label:<10}"), Text(bar(score), style="cyan"), Text(f"{score:.3f}"), Text(notable, style="dim")]
