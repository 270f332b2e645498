"""Recorded scores and labels: read as streams, refused with file, line and field."""

import gzip
import io
import sys
import tracemalloc
from pathlib import Path

import pytest

from moderation.errors import ConfigurationError
from moderation.policy.tools.recorded import batches, scored_events
from moderation.policy.tools.showcase import show
from tests.policy.making import event
from tests.policy_tools.recordings import write_scores

WRONG = event("x").model_dump_json().replace('"adult":0.01', '"adult":80')


@pytest.mark.parametrize("name", ["scores.jsonl", "scores.jsonl.gz"])
def test_a_recording_reads_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    written = [event(f"e{n}", {"adult": n / 10}) for n in range(10)]
    assert list(scored_events(write_scores(tmp_path / name, written))) == written


def test_empty_lines_are_nothing(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "scores.jsonl", [event("e0")])
    path.write_text("\n" + path.read_text("utf-8") + "\n\n", "utf-8")
    assert [found.event_id for found in scored_events(path)] == ["e0"]


def test_standard_input_is_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    line = event("piped").model_dump_json().encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line + b"\n")))
    assert [found.event_id for found in scored_events(Path("-"))] == ["piped"]


def test_progress_adds_up_to_the_size_of_the_file(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "scores.jsonl.gz", [event(f"e{n}") for n in range(1500)])
    sizes: list[int] = []
    assert len(list(scored_events(path, sizes.append))) == 1500
    assert sum(sizes) == path.stat().st_size


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "2: not a scored event: Invalid JSON"),
        ('{"event_id": "x"}', "2: not a scored event: surface: Field required"),
        (
            event("x").model_dump_json().replace('"adult":0.01', '"adult":80'),
            "2: not a scored event: evidence.0.scores.adult:",
        ),
    ],
)
def test_a_line_that_is_no_scored_event_is_refused_at_its_place(tmp_path: Path, line: str, said: str) -> None:
    path = write_scores(tmp_path / "scores.jsonl", [event()])
    path.write_text(path.read_text("utf-8") + line + "\n", "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        list(scored_events(path))
    assert f"{path}:{said}" in str(caught.value)


def test_a_file_that_is_away_or_cut_short_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"away\.jsonl: cannot be read: No such file"):
        list(scored_events(tmp_path / "away.jsonl"))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(event().model_dump_json().encode() * 50)[:-20])
    with pytest.raises(ConfigurationError, match=r"cut\.jsonl\.gz: cannot be read"):
        list(scored_events(cut))


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "scores.jsonl", (event(f"e{n}") for n in range(20_000)))
    tracemalloc.start()
    for _ in batches(scored_events(path)):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def test_a_recording_may_say_where_its_pictures_are(tmp_path: Path) -> None:
    line = event("e1").model_dump_json()
    path = tmp_path / "scores.jsonl"
    extras = ['"image_url":"https://cdn.example/a.png"', '"url":"https://cdn.example/b.png"', '"file":"c.png"']
    path.write_text("".join(line[:-1] + f",{extra}}}\n" for extra in extras), "utf-8")
    shown = [show(each, {}) for each in scored_events(path)]
    assert [(each.image_url, each.file) for each in shown] == [
        ("https://cdn.example/a.png", None),
        ("https://cdn.example/b.png", None),
        (None, "c.png"),
    ]
