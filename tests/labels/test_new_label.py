"""A label is added in a copy of the catalogue, and everything that policies do works with it."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from moderation.errors import ConfigurationError
from moderation.events import Decision, Verdict
from moderation.labels import LabelCatalogue, read_catalogue
from moderation.policy import PolicyMistakes, load
from stream.cli.policy import policy as commands
from stream.decide import DecideStage
from stream.settings import Settings, read_settings
from tests.policy.making import event, write
from tests.records import record

SHIPPED = Path(__file__).parents[2] / "moderation/labels/brand_safety.yaml"
ENTRY = """\
  alcohol:
    description: Alcoholic drinks.
    suitability:
      floor: {review: 0.9, block: 0.95}
      high: {review: 0.8, block: 0.9}
      medium: {review: 0.6, block: 0.8}
      low: {review: 0.4, block: 0.7}
    adtech:
      creative: {cat: ["1002"], loss: 209}
      page: {cat: ["211"]}
"""
POLICY = """
    client: acme
    suitability: low
    surfaces: {page: {thresholds: {alcohol: {block: 0.3, review: 0.2}}}}
    rules: {toast: {when: 'scores.alcohol >= 0.2 && country == "NO"', verdict: block}}
"""
CASES = """
    defaults: {scores: {other: 0.01}, context: {declared_political: false}}
    cases:
      - {name: a bottle, scores: {alcohol: 0.75}, expect: {verdict: block, rule: thresholds.creative.alcohol.block}}
      - {name: in norway, scores: {alcohol: 0.3}, context: {country: NOR}, expect: {verdict: block, rule: rules.toast}}
      - {name: unscored, scores: {alcohol: null}, expect: {verdict: review, rule: on_missing_label}}
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue" / "labels.yaml"
    path.parent.mkdir()
    path.write_text(SHIPPED.read_text("utf-8") + ENTRY, "utf-8")
    return path


@pytest.fixture
def labels(catalogue: Path) -> LabelCatalogue:
    return read_catalogue(catalogue)


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    return write(folder, acme=POLICY, acme__cases=CASES)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


def test_check_knows_the_label_of_the_catalogue_that_it_is_given(policies: Path, catalogue: Path) -> None:
    with_it = run("check", policies, "--catalogue", catalogue)
    assert (with_it.exit_code, "1 file, no mistakes" in with_it.output) == (0, True)
    without = run("check", policies)
    assert without.exit_code == 1
    assert "unknown label 'alcohol'" in without.output


def test_the_settings_name_the_catalogue_too(policies: Path, catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADJUDICATE_CATALOGUE", str(catalogue))
    assert run("check", policies).exit_code == 0
    assert "alcohol" in read_settings().labels().names


def test_cases_name_the_label(policies: Path, catalogue: Path) -> None:
    result = run("test", policies, "--catalogue", catalogue)
    assert result.exit_code == 0, result.output


def test_explain_shows_the_label(policies: Path, catalogue: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.jsonl"
    scores.write_text(event(scores={"alcohol": 0.5}).model_dump_json() + "\n", "utf-8")
    result = run("explain", "acme", "--policies", policies, "--scores", scores, "--catalogue", catalogue, "--json")
    told = json.loads(result.stdout)
    assert told["verdict"] == "review"
    assert told["rules"][0]["rule"] == "thresholds.creative.alcohol.review"
    assert told["decision"]["scores"]["alcohol"] == 0.5


def test_new_writes_a_policy_that_covers_the_label(catalogue: Path, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    made = run("new", "zeta", "--tier", "high", "--policies", folder, "--catalogue", catalogue)
    assert made.exit_code == 0, made.output
    assert "alcohol from 0.9 gets block" in (folder / "zeta.cases.yaml").read_text("utf-8")
    assert run("effective", "zeta", "--policies", folder, "--catalogue", catalogue, "--json").exit_code == 0


def read_suitability(folder: Path, name: str) -> object:
    return yaml.safe_load((folder / f"{name}.yaml").read_text("utf-8"))["suitability"]


def test_new_takes_a_tier_for_any_label_of_the_catalogue(catalogue: Path, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    common = ("--policies", folder, "--catalogue", catalogue)
    made = run("new", "zeta", "--tier", "alcohol=low", "--tier", "high", *common)
    assert made.exit_code == 0, made.output
    others = dict.fromkeys(["violence", "adult", "political"], "high")
    assert read_suitability(folder, "zeta") == {**others, "alcohol": "low"}
    refused = run("new", "eta", "--tier", "tobacco=low", *common)
    assert "no tiers for the label tobacco; it has them for" in str(refused.exception)


def test_new_asks_for_every_label_of_the_catalogue(catalogue: Path, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    answers = "high\n\n\n\nlow\nreview\nreview\n"
    made = CliRunner().invoke(
        commands, ["new", "zeta", "--ask", "--policies", str(folder), "--catalogue", str(catalogue)], input=answers
    )
    assert made.exit_code == 0, made.output
    assert "Mildest risk of alcohol" in made.output
    others = dict.fromkeys(["violence", "adult", "political"], "high")
    assert read_suitability(folder, "zeta") == {**others, "alcohol": "low"}


def test_the_deciding_stage_decides_by_the_label(policies: Path, labels: LabelCatalogue) -> None:
    loaded = load(policies, labels)
    stage = DecideStage(Settings(), lambda: loaded)
    try:
        drunk = record(event(scores={"alcohol": 0.75}).model_dump_json().encode())
        ((output,),) = stage.submit([drunk]).result(10)
    finally:
        stage.close()
    decision = Decision.model_validate_json(output.value)
    assert (output.topic, decision.verdict) == ("decisions.block", Verdict.BLOCK)
    assert decision.reasons[0].rule == "thresholds.creative.alcohol.block"
    assert decision.adtech is not None
    assert (decision.adtech.cat, decision.adtech.loss_code) == (("1002",), 209)
    assert decision.scores["alcohol"] == 0.75


def test_a_label_without_tiers_cannot_have_a_tier(tmp_path: Path, policies: Path, catalogue: Path) -> None:
    text = catalogue.read_text("utf-8")
    entry = ENTRY[ENTRY.index("    suitability") : ENTRY.index("    adtech")]
    catalogue.write_text(text.replace(entry, "    suitability: {}\n"), "utf-8")
    write(policies, acme="client: acme\nsuitability: {alcohol: low}\n")
    with pytest.raises(PolicyMistakes, match="alcohol has no suitability tiers") as caught:
        load(policies, read_catalogue(catalogue))
    assert f"add tier rows to alcohol in {catalogue}" in caught.value.explained()


class TestHashes:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "policies").mkdir()
        return tmp_path / "policies"

    @pytest.fixture
    def announced(self, catalogue: Path) -> LabelCatalogue:
        text = catalogue.read_text("utf-8")
        catalogue.write_text(text.replace("Alcoholic drinks.", "Drinks.\n    state: announced"), "utf-8")
        return read_catalogue(catalogue)

    def hash_of(self, folder: Path, text: str, labels: LabelCatalogue | None) -> str:
        (found,) = load(write(folder, acme=text), labels).policies
        return found.hash

    @pytest.mark.parametrize("text", ["client: acme\nthresholds: {violence: {block: 0.5}}", "client: acme"])
    def test_a_policy_that_does_not_name_the_label_keeps_its_hash(
        self, folder: Path, labels: LabelCatalogue, text: str
    ) -> None:
        assert self.hash_of(folder, text, labels) == self.hash_of(folder, text, None)

    def test_a_tier_for_all_covers_the_label_once_it_is_active(
        self, folder: Path, catalogue: Path, announced: LabelCatalogue
    ) -> None:
        text = "client: acme\nsuitability: low"
        assert self.hash_of(folder, text, announced) == self.hash_of(folder, text, None)
        catalogue.write_text(catalogue.read_text("utf-8").replace("Drinks.\n    state: announced", "Drinks."), "utf-8")
        assert self.hash_of(folder, text, read_catalogue(catalogue)) != self.hash_of(folder, text, None)

    def test_activating_a_label_that_a_policy_names_changes_its_hash(
        self, folder: Path, labels: LabelCatalogue, announced: LabelCatalogue
    ) -> None:
        text = "client: acme\nthresholds: {alcohol: {block: 0.5}}"
        assert self.hash_of(folder, text, labels) != self.hash_of(folder, text, announced)

    def test_the_absence_of_an_announced_label_never_matters(self, folder: Path, announced: LabelCatalogue) -> None:
        text = "client: acme\nthresholds: {alcohol: {block: 0.5}}"
        loaded = load(write(folder, acme=text), announced)
        ((unscored,), (scored,)) = loaded.decide([event(), event(scores={"alcohol": 0.6})], event().scored_at)
        assert (unscored.verdict, unscored.reasons) == (Verdict.ALLOW, ())
        assert scored.verdict is Verdict.BLOCK


class TestACatalogueWithoutPolitical:
    @pytest.fixture
    def smaller(self, tmp_path: Path) -> Path:
        path = tmp_path / "smaller.yaml"
        text = SHIPPED.read_text("utf-8")
        path.write_text(text[: text.index("  political:\n")], "utf-8")
        return path

    @pytest.mark.parametrize("section", ["threshold: 0.5", "countries: {FR: {threshold: 0.5}}"])
    def test_a_political_threshold_is_a_mistake(self, policies: Path, smaller: Path, section: str) -> None:
        write(policies, acme=f"client: acme\npolitical: {{undeclared: block, {section}}}\n")
        with pytest.raises(PolicyMistakes, match="the label catalogue has no label `political`") as caught:
            load(policies, read_catalogue(smaller))
        assert f"add `political` to {smaller}" in caught.value.explained()

    @pytest.mark.parametrize("section", ["{declared: block}", "{declared: block, threshold: never}"])
    def test_declarations_need_no_label(self, policies: Path, smaller: Path, section: str) -> None:
        write(policies, acme=f"client: acme\npolitical: {section}\n")
        ((decision,),) = load(policies, read_catalogue(smaller)).decide(
            [event(context={"declared_political": True})], event().scored_at
        )
        assert decision.verdict is Verdict.BLOCK

    @pytest.mark.parametrize("option", [("--political", "low"), ("--undeclared", "block")])
    def test_new_refuses_what_it_cannot_write(self, tmp_path: Path, smaller: Path, option: tuple[str, str]) -> None:
        made = run("new", "zeta", *option, "--policies", tmp_path / "policies", "--catalogue", smaller)
        assert isinstance(made.exception, ConfigurationError)
        assert "has no tiers for the label political" in str(made.exception)
