"""`adjudicate policy …` as people and build servers use it: golden output, JSON, exit codes."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from moderation.errors import ConfigurationError
from moderation.policy import PolicyMistakes
from stream.cli.policy import policy
from stream.cli.policy_inputs import recorded
from tests.catalogue import LABELS as LABEL_NAMES
from tests.policy.making import event
from tests.policy_tools.recordings import write_scores

Golden = Callable[[str, str], None]
NOW = ("--now", "2026-11-22T12:00:00")
SCORES = ("--scores", "scores.jsonl.gz")
LABELS = ("--labels", "labels.csv")


def run(*arguments: str, **more: str) -> Result:
    return CliRunner().invoke(policy, arguments, **more)  # type: ignore[arg-type]


def write_unscored() -> None:
    """Policies that name labels which the model of `model_repository` does not score."""
    model = Path("model_repository/brand_safety")
    model.mkdir(parents=True)
    (model / "labels.txt").write_text("violence\nviolence.weapon\nadult\n", "utf-8")
    acme = Path("policies/acme.yaml")
    rules = {
        "rules:\n": 'rules:\n  symbols:\n    when: scores["political.symbol"] > 0.5\n    verdict: block\n'
        '  guarded:\n    when: \'"violence.blood" in scores && scores["violence.blood"] > 0.5\'\n    verdict: block\n',
        "thresholds:\n": "thresholds:\n  violence.fire: {block: 0.9}\n",
    }
    text = acme.read_text("utf-8")
    for old, new in rules.items():
        text = text.replace(old, new, 1)
    acme.write_text(text + "on_error: block\n", "utf-8")
    Path("policies/zeta.yaml").write_text(
        "client: zeta\non_missing_label: allow\n"
        "surfaces: {page: {thresholds: {violence.fight: {review: 0.5}, violence.blood: {block: 0.5}}}}\n",
        "utf-8",
    )


def as_json(*arguments: str) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    loaded: dict[str, object] = json.loads(result.stdout)
    return loaded


@pytest.mark.parametrize("command", ["check", "test", "explain", "diff", "backtest", "effective", "new"])
def test_every_command_has_help(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--" in result.output


def test_help_needs_nothing_heavy() -> None:
    script = (
        "import sys, stream.cli.policy\n"
        "heavy = {'numpy', 'pydantic', 'jinja2', 'cel', 'confluent_kafka', 'tritonclient', 'cv2'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


class TestCheck:
    def test_good_policies(self, folder: Path) -> None:
        result = run("check")
        assert (result.exit_code, result.output) == (0, "3 files, no mistakes\n")

    def test_all_mistakes_of_all_files_at_once(self, folder: Path) -> None:
        Path("policies/acme.yaml").write_text("client: acme\nthresholds:\n  adlut: {block: 80}\n", "utf-8")
        Path("policies/zeta.yaml").write_text("client: zeta\nsuitability: lax\nshadow: yes\n", "utf-8")
        result = run("check")
        assert result.exit_code == 1
        for place in ("acme.yaml:3:3", "acme.yaml:3:18", "zeta.yaml:2:14", "zeta.yaml:3:9"):
            assert f"policies/{place}: " in result.output
        assert "did you mean 'adult'?" in result.output
        assert result.output.endswith("4 mistakes in 2 files\n")

    def test_json_has_place_expectation_and_hint(self, folder: Path) -> None:
        Path("policies/zeta.yaml").write_text("client: zeta\nsuitabillity: low\n", "utf-8")
        result = run("check", "--json")
        (mistake,) = json.loads(result.stdout)["mistakes"]
        assert (mistake["file"], mistake["line"]) == ("policies/zeta.yaml", 2)
        assert mistake["hint"] == "did you mean 'suitability'?"

    def test_a_folder_that_is_not_there(self, folder: Path) -> None:
        result = run("check", "nowhere")
        assert result.exit_code == 1
        assert "there is no such folder" in result.output

    def test_labels_that_the_model_does_not_score_are_warned_of(self, folder: Path, golden: Golden) -> None:
        write_unscored()
        result = run("check")
        assert result.exit_code == 0
        golden("check-warnings.txt", result.output)
        first = json.loads(run("check", "--json").stdout)["warnings"][0]
        assert (first["file"], first["line"]) == ("policies/acme.yaml", 5)

    def test_the_model_may_be_named(self, folder: Path) -> None:
        write_unscored()
        labels = Path("other.txt")
        labels.write_text("\n".join(LABEL_NAMES), "utf-8")
        assert run("check", "--model", "other.txt").output == "3 files, no mistakes\n"
        with pytest.raises(ConfigurationError, match=r"--model nowhere: no labels\.txt there"):
            run("check", "--model", "nowhere", catch_exceptions=False)  # type: ignore[arg-type]

    def test_of_several_models_the_settings_name_the_served_one(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_unscored()
        Path("model_repository/other").mkdir()
        Path("model_repository/other/labels.txt").write_text("\n".join(LABEL_NAMES), "utf-8")
        assert "model brand_safety does not score" in run("check").output
        monkeypatch.setenv("ADJUDICATE_TRITON__MODEL", "other")
        assert run("check").output == "3 files, no mistakes\n"
        monkeypatch.setenv("ADJUDICATE_TRITON__MODEL", "third")
        with pytest.raises(ConfigurationError, match=r"holds brand_safety, other, but triton\.model is third"):
            run("check", catch_exceptions=False)  # type: ignore[arg-type]

    def test_the_server_may_be_asked(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("stream.score_sources.served_labels", lambda triton: ("violence", "adult", "political"))
        result = run("check", "--model", "triton")
        assert "model brand_safety at 127.0.0.1:8001 does not score violence.weapon; concerns acme" in result.output


class TestTest:
    def test_passing_cases_with_coverage(self, folder: Path, golden: Golden) -> None:
        result = run("test")
        assert result.exit_code == 0
        golden("test-passed.txt", result.output)

    def test_failures_are_told_with_place_and_difference(self, folder: Path, golden: Golden) -> None:
        cases = Path("policies/acme.cases.yaml")
        cases.write_text(cases.read_text("utf-8").replace("expect: allow", "expect: block"), "utf-8")
        Path("policies/zeta.cases.yaml").unlink()
        result = run("test")
        assert result.exit_code == 1
        golden("test-failed.txt", result.output)

    def test_too_little_coverage_fails(self, folder: Path) -> None:
        result = run("test", "--min-coverage", "0.9")
        assert result.exit_code == 1
        assert "the share of rules fired is below 90%" in result.output

    def test_one_client_only(self, folder: Path) -> None:
        result = run("test", "--client", "zeta")
        assert "acme" not in result.output
        assert result.exit_code == 0

    def test_an_unknown_client_is_an_error_with_the_nearest_name(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match="no policy for zetta; did you mean 'zeta'"):
            run("test", "--client", "zetta", catch_exceptions=False)  # type: ignore[arg-type]

    def test_json_and_junit(self, folder: Path) -> None:
        cases = Path("policies/acme.cases.yaml")
        cases.write_text(cases.read_text("utf-8").replace("expect: allow", "expect: block"), "utf-8")
        told = as_json("test", "--junit", "junit.xml")
        assert told["passed"] is False
        suites = ElementTree.parse("junit.xml").getroot()
        assert [(s.get("name"), s.get("tests"), s.get("failures")) for s in suites] == [
            ("acme", "3", "1"),
            ("zeta", "1", "0"),
        ]
        failure = suites.find(".//failure")
        assert failure is not None
        assert failure.get("message") == "verdict: expected block, got allow"

    def test_policies_that_are_wrong_are_told_as_mistakes(self, folder: Path) -> None:
        Path("policies/zeta.yaml").write_text("client: zeta\nsuitability: lax\n", "utf-8")
        assert isinstance(run("test").exception, PolicyMistakes)


class TestExplain:
    def test_a_stored_score(self, folder: Path, golden: Golden) -> None:
        write_scores(
            Path("one.jsonl"),
            [event("e0"), event("e1", {"adult": 0.2, "violence": 0.8}, country="NO", uncertainty=0.0)],
        )
        result = run("explain", "acme", "--scores", "one.jsonl", "--event", "e1", *NOW)
        assert result.exit_code == 0
        golden("explain.txt", result.output)

    def test_standard_input_is_the_default(self, folder: Path) -> None:
        line = event("piped", {"adult": 0.99}).model_dump_json()
        result = run("explain", "acme", "--json", *NOW, input=line)
        told = json.loads(result.stdout)
        assert (told["event_id"], told["verdict"]) == ("piped", "block")
        assert told["rules"][0]["rule"] == "thresholds.creative.adult.block"

    def test_nothing_waits_for_a_keyboard(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        with pytest.raises(ConfigurationError, match="no scores: give --scores FILE"):
            recorded("-", None, lambda _: None)

    def test_an_event_that_is_not_there(self, folder: Path) -> None:
        result = run("explain", "acme", *SCORES, "--event", "nope")
        assert str(result.exception) == "scores.jsonl.gz has no event nope"


class TestDiff:
    def test_a_candidate_file(self, folder: Path, golden: Golden) -> None:
        result = run("diff", "policies", "candidate.yaml", *SCORES, *NOW, "--html", "diff.html")
        assert result.exit_code == 0
        golden("diff.txt", result.output)
        assert "candidate.yaml" in Path("diff.html").read_text("utf-8")

    def test_json(self, folder: Path, golden: Golden) -> None:
        told = as_json("diff", "policies", "candidate.yaml", *SCORES, *NOW)
        golden("diff.json", json.dumps(told, indent=2) + "\n")

    def test_file_against_file_is_folder_against_file(self, folder: Path) -> None:
        one = as_json("diff", "policies/acme.yaml", "candidate.yaml", *SCORES, *NOW)
        assert one == as_json("diff", "policies", "candidate.yaml", *SCORES, *NOW)

    def test_too_many_flips_fail_a_build(self, folder: Path) -> None:
        result = run("diff", "policies", "candidate.yaml", *SCORES, *NOW, "--max-flipped", "0.01")
        assert result.exit_code == 1
        assert "of decisions flip, more than 1.00%" in result.output

    def test_a_client_that_neither_side_has(self, folder: Path) -> None:
        result = run("diff", "policies", "policies", *SCORES, "--client", "acne")
        assert str(result.exception) == "no policy for acne; did you mean 'acme'?"

    def test_a_broken_candidate_is_told_with_its_mistakes(self, folder: Path) -> None:
        Path("candidate.yaml").write_text("client: acme\nthresholds: {adult: {block: 70}}\n", "utf-8")
        result = run("diff", "policies", "candidate.yaml", *SCORES)
        assert isinstance(result.exception, PolicyMistakes)
        assert "candidate.yaml:2" in str(result.exception)


class TestBacktest:
    def test_table(self, folder: Path, golden: Golden) -> None:
        arguments = ("--at-most", "0.02", "--at-most", "0.1")
        result = run("backtest", "acme", *SCORES, *LABELS, *NOW, *arguments, "--html", "backtest.html")
        assert result.exit_code == 0
        golden("backtest.txt", result.output)
        assert "Backtest of acme" in Path("backtest.html").read_text("utf-8")

    def test_json(self, folder: Path, golden: Golden) -> None:
        told = as_json("backtest", "zeta", *SCORES, *LABELS, *NOW)
        outcome = told["outcome"]
        golden("backtest.json", json.dumps(outcome, indent=2) + "\n")

    def test_a_percentage_is_refused_with_the_share_it_means(self, folder: Path) -> None:
        result = run("backtest", "acme", *SCORES, *LABELS, "--at-most", "2")
        assert str(result.exception) == "--at-most 2: a share above 0 and below 1; for 2% write 0.02"


class TestEffective:
    def test_every_value_with_its_origin(self, folder: Path, golden: Golden) -> None:
        result = run("effective", "acme")
        assert result.exit_code == 0
        golden("effective.txt", re.sub(r"[0-9a-f]{64}", "HASH", result.output))

    def test_json(self, folder: Path) -> None:
        told = as_json("effective", "acme")
        values = {value["path"]: value for value in told["values"]}  # type: ignore[attr-defined]
        assert values["on_error"] == {"path": "on_error", "value": "review", "origin": "policies/house.yaml:3"}


class TestNew:
    def test_what_it_writes_passes_check_and_test(self, folder: Path, golden: Golden) -> None:
        arguments = ("--tier", "high", "--tier", "adult=low", "--undeclared", "review", "--audit", "0.01")
        result = run("new", "Acme Toys", *arguments)
        assert result.output == "wrote policies/acme-toys.yaml\nwrote policies/acme-toys.cases.yaml\n"
        golden("new.yaml", Path("policies/acme-toys.yaml").read_text("utf-8"))
        assert run("check").exit_code == 0
        assert run("test", "--client", "Acme Toys", "--min-coverage", "1").exit_code == 0

    def test_it_asks_for_what_is_not_given(self, folder: Path) -> None:
        result = run("new", "asked", "--ask", input="low\n\n\n\nblock\nallow\n")
        assert result.exit_code == 0
        text = Path("policies/asked.yaml").read_text("utf-8")
        assert "suitability: low" in text
        assert "undeclared: block" in text
        assert "on_error: allow" in text

    def test_it_asks_again_after_a_wrong_answer(self, folder: Path) -> None:
        result = run("new", "asked", "--ask", input="strict\nLow\n\n\n\ndeny\nblock\nperhaps\nallow\n")
        assert result.exit_code == 0
        assert "Error: strict: one of floor, high, medium, low. low is the strictest" in result.output
        assert "Error: deny: one of allow, review, block. write block" in result.output
        assert "Error: perhaps: one of allow, review, block\n" in result.output
        text = Path("policies/asked.yaml").read_text("utf-8")
        for line in ("suitability: low", "undeclared: block", "on_error: allow"):
            assert line in text

    def test_a_campaign(self, folder: Path) -> None:
        assert run("new", "acme/spring", "--violence", "low").exit_code == 0
        text = Path("policies/acme-spring.yaml").read_text("utf-8")
        assert "on_error" not in text
        assert "adult" not in text
        assert run("test", "--client", "acme/spring").exit_code == 0

    def test_a_word_it_does_not_know_is_refused_with_the_nearest(self, folder: Path) -> None:
        assert "--tier strict: " in str(run("new", "x", "--tier", "strict").exception)
        for option in (("--tier", "adult=hihg"), ("--adult", "hihg")):
            problem = "--tier adult=hihg: one of floor, high, medium, low. did you mean 'high'?"
            assert str(run("new", "x", *option).exception) == problem
