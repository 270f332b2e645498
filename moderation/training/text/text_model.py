"""The folder of a text model in the Triton repository: heads, labels, configuration, card."""

import json
from collections import Counter
from pathlib import Path
from typing import Final

from moderation.training.text import heads
from moderation.training.text.lines import Lines
from moderation.training.text.text_recipe import TextRecipe
from moderation.training.text.training import Fitted

_CONFIG: Final = """\
name: "{name}"
max_batch_size: 32
backend: "python"
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
input [ {{ name: "text" data_type: TYPE_STRING dims: [ 1 ] }} ]
output [ {{ name: "scores" data_type: TYPE_FP32 dims: [ {width} ] }} ]
dynamic_batching {{
  max_queue_delay_microseconds: 2000
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: 5000000
    allow_timeout_override: true
    max_queue_size: 512
  }}
}}
parameters {{ key: "labels" value: {{ string_value: "{labels}" }} }}
parameters {{ key: "calibration" value: {{ string_value: "platt-text-{version}" }} }}
"""

_TEMPLATE: Final = Path(__file__).with_name("text_card.md.tmpl")


def write(recipe: TextRecipe, fitted: Fitted, table: Lines, numbers: dict[str, str]) -> Path:
    """Every file of the model but `1/model.py`; `numbers`: what the report shows of each split."""
    folder = recipe.model
    heads.save(fitted.heads, folder / "1")
    names = fitted.heads.labels
    (folder / "labels.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    config = _CONFIG.format(name=recipe.name, width=len(names), labels=",".join(names), version=recipe.version)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
    (folder / "training.json").write_text(json.dumps(fitted.about, indent=1) + "\n", encoding="utf-8")
    card = folder / "MODEL_CARD.md"
    card.write_text(_card(recipe, fitted, table, numbers), encoding="utf-8")
    return card


def _card(recipe: TextRecipe, fitted: Fitted, table: Lines, numbers: dict[str, str]) -> str:
    lines = fitted.about["lines"]
    copies = lines - round(lines / (1 + recipe.noise.share))
    return _TEMPLATE.read_text(encoding="utf-8").format(
        name=recipe.name,
        version=recipe.version,
        labels=", ".join(f"`{name}`" for name in fitted.heads.labels),
        copies=copies,
        lines=lines,
        sources=len(fitted.about["sources"]),
        table=_sources(table),
        numbers="\n\n".join(f"Split `{split}`:\n\n```\n{shown}\n```" for split, shown in numbers.items()),
        limits="\n".join(f"- {one}" for one in recipe.limits),
    )


def _sources(table: Lines) -> str:
    train = table.part("train")
    licence = train.facts.get("licence", train.source).tolist()
    counts = Counter(zip(train.source.tolist(), licence, strict=True))
    rows = [f"| {source} | {count} | {told or 'not stated'} |" for (source, told), count in sorted(counts.items())]
    return "\n".join(rows)
