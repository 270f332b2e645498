"""`adjudicate demo` and `adjudicate classify`."""

from pathlib import Path
from typing import Annotated

import typer

from moderation.events import Surface
from stream.cli.options import AsJson, SettingsFile


def demo(
    images: Annotated[
        Path | None, typer.Option(help="Your own folder of images; every file in it becomes an event.")
    ] = None,
    surface: Annotated[Surface, typer.Option(help="What the images of --images are.")] = Surface.CREATIVE,
    out: Annotated[Path, typer.Option(help="Where decisions.jsonl and report.html go.")] = Path("demo-out"),
    policies: Annotated[Path | None, typer.Option(help="Folder of policy files.", show_default="policies/")] = None,
    timeout: Annotated[float, typer.Option(help="Give up after so many seconds without a decision.", min=1)] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Start Kafka, Triton and both stages here, send images through them, and show who would block what.

    Sends the project's own sample images, or those of --images. Exit code 0 only if there was exactly one
    decision per event and client.
    """
    from stream.demo.present_demo import present_demo
    from stream.demo.run import Plan

    plan = Plan(out, policies or _policies(), images, surface, timeout)
    raise typer.Exit(0 if present_demo(plan, as_json=as_json) else 1)


def _policies() -> Path:
    """`policies/` of the current folder, else of the checkout. Raises ConfigurationError."""
    from moderation.errors import ConfigurationError

    roots = (Path.cwd(), Path(__file__).resolve().parents[2])
    found = [root / "policies" for root in roots if (root / "policies").is_dir()]
    if not found:
        raise ConfigurationError(f"no policies/ in {' or '.join(map(str, roots))}: name a folder with --policies")
    return found[0]


def classify(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE…|DIR", help="Images, or folders of them.")],
    as_json: AsJson = False,
    triton: Annotated[
        str | None,
        typer.Option(help="host:port of Triton's gRPC; without it ADJUDICATE_TRITON__URL, else a local one."),
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Score images on Triton and print what the model says of each. No policy is asked.

    A file that is no image gets its status instead of scores, and the exit code stays 0.
    """
    from stream.demo.present_scores import present_scores
    from stream.settings import read_settings

    url = _checked(triton) if triton else None
    present_scores(paths, read_settings(settings).triton, url, as_json=as_json)


def _checked(triton: str) -> str:
    from moderation.errors import ConfigurationError
    from stream.settings import check_address

    try:
        return check_address(triton)
    except ValueError as error:
        raise ConfigurationError(f"--triton {triton} {error}") from error
