"""Labels and verdicts of people, as spreadsheets write them: refused with file, line and column."""

from pathlib import Path

import pytest

from moderation.errors import ConfigurationError
from moderation.events import Verdict
from moderation.policy.tools.truth_table import Truth, read_truths
from tests.catalogue import CATALOGUE


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text, "utf-8")
    return path


def test_labels_are_read_with_unknown_left_unknown(tmp_path: Path) -> None:
    found = read_truths(csv(tmp_path, "event_id,violence,adult\na,1,\nb,0,0\nc,,0\n"), CATALOGUE)
    assert found.by_key["a"] == Truth({"violence": True}, complete=False)
    assert [found.by_key[key].unsafe for key in "abc"] == [True, False, None]


def test_verdicts_are_truth_too_and_win(tmp_path: Path) -> None:
    found = read_truths(csv(tmp_path, "content_sha256,verdict\nff,block\nee,allow\n"), CATALOGUE)
    assert (found.key, found.by_key["ff"].unsafe, found.by_key["ee"].unsafe) == ("content_sha256", True, False)
    assert found.by_key["ff"].verdict is Verdict.BLOCK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,violence\n1,1\n", "labels.csv:1: no column event_id or content_sha256; found id, violence"),
        ("event_id,violance\n1,1\n", "labels.csv:1: no column is a label or `verdict`. did you mean 'violence'?"),
        ("event_id,adult\n1,1\n2,yes\n", "labels.csv:3: adult: 'yes' is not 1, 0 or empty (unknown)"),
        ("event_id,verdict\n1,deny\n", "labels.csv:2: verdict: 'deny' is not one of allow, review, block; write block"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused_at_their_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_truths(csv(tmp_path, text), CATALOGUE)
    assert said in str(caught.value)


ROWS = [["event_id", "violence", "adult"], ["a", "1", ""], ["b", "0", "0"]]
READ = {"a": Truth({"violence": True}, complete=False), "b": Truth({"violence": False, "adult": False})}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_separators_and_encodings_of_spreadsheets(tmp_path: Path, separator: str, encoding: str, ending: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes((ending.join(separator.join(row) for row in ROWS) + ending).encode(encoding))
    found = read_truths(path, CATALOGUE)
    assert (found.key, found.by_key) == ("event_id", READ)


def test_names_of_columns_may_have_spaces_and_verdicts_capitals(tmp_path: Path) -> None:
    found = read_truths(csv(tmp_path, "event_id ; Verdict;verdict\n a ;x; Block \n"), CATALOGUE)
    assert found.by_key == {"a": Truth({}, Verdict.BLOCK)}


def test_columns_that_mean_nothing_are_named_with_what_they_may_mean(tmp_path: Path) -> None:
    found = read_truths(csv(tmp_path, "event_id;violence;nsfw;guns;agency\na;1;1;1;x\n"), CATALOGUE)
    assert found.unread == ("nsfw", "guns", "agency")
    assert found.unread_notes == [
        "'nsfw' (did you mean 'adult'?)",
        "'guns' (did you mean 'violence.weapon'?)",
        "'agency'",
    ]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\x80\x81event_id,adult\n")
    with pytest.raises(ConfigurationError, match=r"labels\.csv: cannot be read"):
        read_truths(path, CATALOGUE)
