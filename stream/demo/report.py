"""`report.html`: one file without a single request to anywhere, to look at what each client would show.

Everything that came from an event or a file name is escaped by the template; a Content-Security-Policy
names the page's own style and script by hash, so nothing else could run even if it were not.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from moderation.events import ImageEvent, ModelStamp, Status, Verdict
from stream.demo import explain
from stream.demo.judged import VERDICTS, Judged, Misses


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that could not be parsed."""

    name: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Run:
    """What the report says about the run as a whole. Times in seconds."""

    started_at: datetime
    events: int
    verdicts: Counter[tuple[str, Verdict]]
    statuses: Counter[Status]
    rejected: Sequence[Rejected]
    first_decision_s: float | None
    took_s: float
    broker: str
    policies: str
    model: ModelStamp | None
    misses: Misses

    @property
    def clients(self) -> list[str]:
        return sorted({client for client, _ in self.verdicts})

    def count(self, client: str, verdict: Verdict) -> int:
        return self.verdicts[client, verdict]

    def decided(self, client: str) -> int:
        return sum(self.count(client, verdict) for verdict in VERDICTS)


def facts(event: ImageEvent) -> Iterator[tuple[str, str]]:
    """The ad-tech context that is present, by OpenRTB name."""
    for name, value in event.context:
        if value not in (None, ()):
            yield name, ", ".join(value) if isinstance(value, tuple) else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("stream.demo", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        verdicts=VERDICTS, facts=facts, why=explain.why, rule=explain.rule, evidence=explain.evidence
    )
    return environment


def write_report(file: Path, run: Run, images: Iterable[Judged]) -> None:
    """Write the report, image by image as `images` gives them, so that a big run needs no big memory."""
    environment = _environment()
    style, script = (environment.get_template(name).render() for name in ("report.css", "report.js"))
    parts: dict[str, Any] = {
        "style": Markup(style),  # noqa: S704 - our own file, and it holds nothing of the run
        "script": Markup(script),  # noqa: S704 - as above
        "style_hash": _source_hash(style),
        "script_hash": _source_hash(script),
    }
    stream = environment.get_template("report.html.j2").stream(run=run, images=images, **parts)
    with file.open("wb") as handle:
        stream.dump(handle, encoding="utf-8", errors="replace")
