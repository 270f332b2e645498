"""What `adjudicate classify` prints, and where its model server comes from."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.text import Text

from moderation.classifier import TritonAddress, TritonClassifier
from moderation.labels import top_label
from stream.cli.terminal import bar, console, notices, print_json_line
from stream.decode.pool import DecodePool
from stream.demo.classify import Classified, classify, files_of
from stream.demo.outgoing import printable
from stream.demo.signals import stoppable
from stream.sandbox.part import Leash
from stream.sandbox.triton_server import TritonOptions, TritonServer
from stream.settings import TritonSettings
from stream.start_score import triton_address


def present_scores(paths: Sequence[Path], settings: TritonSettings, url: str | None, *, as_json: bool) -> None:
    """Print each file's scores as they come. Raises ConfigurationError, SandboxError or ModelError."""
    files = files_of(paths)
    with stoppable(), _classifier(settings, url) as classifier:
        size = classifier.spec().size
        with DecodePool(os.cpu_count() or 1, size) as pool:
            found = classify(files, classifier, pool, settings.max_batch)
            if as_json:
                for each in found:
                    print_json_line(as_line(each))
            else:
                print_scores(console(), found)


@contextmanager
def _classifier(settings: TritonSettings, url: str | None) -> Iterator[TritonClassifier]:
    """The server that was named, by argument or settings, else one of our own."""
    if url or settings.model_fields_set:
        yield from _connected(replace(triton_address(settings), url=url or settings.url))
        return
    notices().print("[bold]·[/] Starting Triton (name a running one with --triton)")
    with _own_triton() as server:
        yield from _connected(TritonAddress(server.grpc))


@contextmanager
def _own_triton() -> Iterator[TritonServer]:
    leash = Leash()
    with TemporaryDirectory(prefix="adjudicate-") as directory:
        server = TritonServer(TritonOptions(), Path(directory), leash)
        try:
            server.start().wait_ready()
            server.wait_scores()
            yield server
        finally:
            server.terminate()
            leash.close()


def _connected(address: TritonAddress) -> Iterator[TritonClassifier]:
    classifier = TritonClassifier(address)
    try:
        yield classifier
    finally:
        classifier.close()


def as_line(each: Classified) -> dict[str, Any]:
    """One image as JSON: `scores` by label, null where the status is not OK."""
    return {
        "path": printable(each.path),
        "status": each.status.value,
        "detail": each.detail,
        "scores": each.scores,
        "uncertainty": each.uncertainty,
        "image": each.image and each.image.model_dump(),
        "model": each.model and each.model.name,
        "version": each.model and each.model.version,
    }


def print_scores(console: Console, found: Iterable[Classified]) -> None:
    """One row per image with a bar for each top label, as they arrive, and a line of conspicuous sub-labels."""
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
