"""The terminal: results on standard output, everything else on standard error, and the one table of colours."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH: Final = 160
"""Columns in a file or a pipe, which have no width: whole names fit."""
VERDICT_STYLE: Final = {"allow": "green", "review": "yellow", "block": "red", "none": "dim"}
_BAR_CELLS: Final = 10


def console() -> Console:
    """Standard output; colours only on a terminal."""
    return _console(sys.stdout)


def notices() -> Console:
    """Standard error: progress, warnings and mistakes."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    is_terminal = stream.isatty()
    width = None if is_terminal else PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, no_color=not is_terminal)


def print_line(text: object) -> None:
    """A line of the result, without markup and wrapping."""
    sys.stdout.write(f"{text}\n")


def print_notice(text: object) -> None:
    """A line beside the result."""
    sys.stderr.write(f"{text}\n")


def print_json(value: Any) -> None:
    print_line(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_json_line(value: Any) -> None:
    """One line for scripts that read while the command runs."""
    print_line(json.dumps(value, ensure_ascii=False))
    sys.stdout.flush()


def bar(score: float) -> str:
    """A score in 0..1 as ten cells."""
    full = round(score * _BAR_CELLS)
    return "█" * full + "░" * (_BAR_CELLS - full)


def verdict_text(word: str | None) -> Text:
    return Text(word or "-", style=VERDICT_STYLE.get(word or "", ""))


def make_table(title: str, *columns: str, numbers: Sequence[str] = ()) -> Table:
    """An empty table whose `numbers` columns are aligned to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", expand=False)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made


@contextmanager
def file_progress(source: str) -> Iterator[Callable[[int], None]]:
    """A bar over the bytes of a file; nothing off a terminal, or where the size is unknown."""
    path, shown = Path(source), notices()
    if not (shown.is_terminal and path.is_file()):
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True) as bars:
        task = bars.add_task(path.name, total=path.stat().st_size)
        yield lambda size: bars.advance(task, size)
