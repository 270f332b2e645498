"""`adjudicate demo` and `adjudicate classify`."""

from pathlib import Path
from typing import Annotated

import typer

from moderation.events import Surface
from stream.cli.options import AsJson, SettingsFile


def demo(
    images: Annotated[Path | None, typer.Option(help="Folder of images. Every file in it becomes an event.")] = None,
    surface: Annotated[Surface, typer.Option(help="Surface of the images of --images.")] = Surface.CREATIVE,
    out: Annotated[Path, typer.Option(help="Folder for decisions.jsonl and report.html.")] = Path("demo-out"),
    policies: Annotated[Path | None, typer.Option(help="Folder of the policy files.", show_default="policies/")] = None,
    timeout: Annotated[float, typer.Option(help="Give up after this many seconds without a decision.", min=1)] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Start Kafka, Triton and both stages here, send images through them, and show each client's decisions.

    The images are the samples of the project, or those of --images. The exit code is 0 only if there was exactly
    one decision per event and client.
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
        typer.Option(
            help="host:port of Triton's gRPC. Default: ADJUDICATE_TRITON__URL, else a local server is started."
        ),
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Score images on Triton and print the model's scores of each. No policy is used.

    A file that is no image gets a status instead of scores, and the exit code stays 0.
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
