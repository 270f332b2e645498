"""Recorded scores and labels: read as streams, refused with file, line and field."""

import gzip
import io
import sys
import tracemalloc
from pathlib import Path

import pytest

from moderation.errors import ConfigurationError
from moderation.events import Verdict
from moderation.policy.tools.recorded import Truth, batches, scored_events, truths
from tests.catalogue import CATALOGUE
from tests.policy.making import event
from tests.policy_tools.recordings import write_scores


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
    told: list[int] = []
    assert len(list(scored_events(path, told.append))) == 1500
    assert sum(told) == path.stat().st_size


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "2: not a scored event: Invalid JSON"),
        ('{"event_id": "x"}', "2: not a scored event: surface: Field required"),
        (event("x").model_dump_json().replace('"adult":0.01', '"adult":80'), "2: not a scored event: scores.adult:"),
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


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text, "utf-8")
    return path


def test_labels_are_read_with_unknown_left_unknown(tmp_path: Path) -> None:
    found = truths(csv(tmp_path, "event_id,violence,adult\na,1,\nb,0,0\nc,,0\n"), CATALOGUE)
    assert found.by_key["a"] == Truth({"violence": True}, complete=False)
    assert [found.by_key[key].unsafe for key in "abc"] == [True, False, None]


def test_verdicts_are_truth_too_and_win(tmp_path: Path) -> None:
    found = truths(csv(tmp_path, "content_sha256,verdict\nff,block\nee,allow\n"), CATALOGUE)
    assert (found.key, found.by_key["ff"].unsafe, found.by_key["ee"].unsafe) == ("content_sha256", True, False)
    assert found.by_key["ff"].verdict is Verdict.BLOCK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,violence\n1,1\n", "labels.csv:1: no column event_id or content_sha256; found id, violence"),
        ("event_id,violance\n1,1\n", "labels.csv:1: no column is a label or `verdict`. did you mean 'violence'?"),
        ("event_id,adult\n1,1\n2,yes\n", "labels.csv:3: adult: 'yes' is not 1, 0 or empty (unknown)"),
        ("event_id,verdict\n1,deny\n", "labels.csv:2: verdict: 'deny' is not one of allow, review, block"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused_at_their_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        truths(csv(tmp_path, text), CATALOGUE)
    assert said in str(caught.value)
