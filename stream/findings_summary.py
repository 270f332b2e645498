"""Findings in a few lines: how many of each kind, in which partitions, the first and the last."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from stream.history import History, Place
from stream.verify import Findings

_LISTED: Final = 10

_ByEvent = defaultdict[str, list[Place]]


def summarize(history: History, findings: Findings, listed: int = _LISTED) -> str:
    """One paragraph for each kind of finding; at most `listed` of a kind are spelled out."""
    if findings.are_none:
        return "no findings"
    places: _ByEvent = defaultdict(list)
    for asked in history.asked:
        places[asked.event_id or ""].append(asked.place)
    kinds = ((kind, getattr(findings, kind)) for kind in findings.__slots__)
    lines = [line for kind, items in kinds if items for line in _lines(kind, items, places, listed)]
    if findings.missing and not findings.may_pass_with_time:
        lines.append("missing may be late only: the checker stops waiting at a finding that time cannot mend")
    return "\n".join(lines)


def _lines(kind: str, items: Sequence[Any], places: _ByEvent, listed: int) -> Iterable[str]:
    yield f"{kind.replace('_', ' ')}: {len(items)}; first {_text(items[0])}; last {_text(items[-1])}"
    offsets: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for item in items:
        for topic, partition, offset in _places(item, places):
            offsets[topic, partition].add(offset)
    for (topic, partition), found in sorted(offsets.items()):
        yield f"  {topic}/{partition}: {len(found)} records, offsets {min(found)} to {max(found)}"
    yield from (f"  - {_text(item)}" for item in items[:listed])
    if len(items) > listed:
        yield f"  - and {len(items) - listed} more"


def _places(item: Any, places: _ByEvent) -> Iterable[Place]:
    if hasattr(item, "place"):
        return [item.place]
    return places.get(item.event_id, []) if hasattr(item, "event_id") else [item]


def _text(item: Any) -> str:
    values = item._asdict() if hasattr(item, "_asdict") else {"place": item}
    return " ".join(f"{name}={value}" for name, value in values.items() if value is not None)
