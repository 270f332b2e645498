"""An evaluation as `report.json` for programs and `report.html` for people."""

import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from moderation.training.data.pixels import Decoded
from moderation.training.measure import figures as plots
from moderation.training.measure.evaluate import Evaluation


def write(
    folder: Path,
    evaluation: Evaluation,
    names: tuple[str, ...],
    scores: NDArray[np.floating],
    decoded: Decoded,
) -> tuple[Path, Path]:
    """Both files in `folder`; returns their paths (JSON, HTML)."""
    folder.mkdir(parents=True, exist_ok=True)
    machine, people = folder / "report.json", folder / "report.html"
    machine.write_text(json.dumps(evaluation.facts, indent=2) + "\n", encoding="utf-8")
    page = _template().render(
        facts=evaluation.facts,
        calibration=plots.calibration(evaluation.facts["labels"]),
        recall=plots.precision_recall(names, decoded.data.targets, scores),
        worst=_pictures(evaluation, names, scores, decoded),
    )
    people.write_text(page, encoding="utf-8")
    return machine, people


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.Undefined)
    return environment.get_template("report.html.j2")


def _pictures(
    evaluation: Evaluation, names: tuple[str, ...], scores: NDArray[np.floating], decoded: Decoded
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    def picture(row: int, place: int) -> dict[str, Any]:
        return {
            "data": plots.thumbnail(np.asarray(decoded.pixels[row])),
            "score": float(scores[row, place]),
            "source": str(decoded.data.source[row]),
            "name": decoded.data.paths[row].name,
        }

    return {
        name: {kind: [picture(row, place) for row in rows] for kind, rows in evaluation.worst[name].items()}
        for place, name in enumerate(names)
    }
