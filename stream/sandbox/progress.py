"""Progress of the sandbox: spinners on a terminal, else nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from stream.cli.terminal import notices


class Steps:
    """One line per step, several at a time; thread-safe."""

    def __init__(self) -> None:
        console = notices()
        columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
        self._display = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._display.stop()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        task = self._display.add_task(text, total=1)
        yield
        self._display.update(task, completed=1)
