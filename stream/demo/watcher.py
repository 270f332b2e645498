"""Progress of the demo: the interface of an observer, and the one that draws on a terminal."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Watcher:
    """Observer of a run's progress. This one is silent."""

    def step(self, text: str) -> None:
        """A new phase begins."""

    def sent(self, events: int) -> None: ...

    def answered(self, decisions: int, events: int) -> None:
        """So many decisions have come, and so many events have all of theirs."""

    def warn(self, text: str) -> None: ...


class Terminal(Watcher):
    """Spinner, bar and warnings on standard error; lines only where that is no terminal."""

    def __init__(self, console: Console, total: int | None) -> None:
        self._console = console
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                   TextColumn("images, {task.fields[decisions]} decisions"), TimeElapsedColumn())  # fmt: skip
        self._display = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._total = total
        self._task = self._display.add_task("", total=total, visible=False, decisions=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._display.stop()

    def step(self, text: str) -> None:
        self._display.stop()
        self._console.print(f"[bold]·[/] {text}", highlight=False)

    def sent(self, events: int) -> None:
        if not self._display.live.is_started:
            self._display.start()
        total = self._total if self._total is not None else events
        self._display.update(self._task, total=max(total, events), description="Sending and deciding", visible=True)

    def answered(self, decisions: int, events: int) -> None:
        self._display.update(self._task, completed=events, decisions=decisions)

    def warn(self, text: str) -> None:
        self._console.print(f"[yellow]![/] {text}", highlight=False, markup=True)
