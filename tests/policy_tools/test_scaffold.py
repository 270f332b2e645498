"""A starting policy passes check and its cases, whatever it was asked to be."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moderation.errors import ConfigurationError
from moderation.events import Verdict
from moderation.policy import PolicyMistakes, examine, load
from moderation.policy.tools.cases import run_cases
from moderation.policy.tools.new_client import start
from moderation.policy.tools.scaffold import Answers
from tests.catalogue import CATALOGUE, TIERS, TOP_LABELS
from tests.policy.making import NOW

answers = st.builds(
    Answers,
    client=st.sampled_from(["acme", "Ünïted Toys", "x: y", "a #1", "NO", "12"]),
    labels=st.just(CATALOGUE),
    tiers=st.fixed_dictionaries(dict.fromkeys(TOP_LABELS, st.sampled_from(TIERS))),
    description=st.sampled_from([None, 'He said "no": never', "a\\b"]),
    on_error=st.sampled_from(Verdict),
    undeclared=st.sampled_from([None, *Verdict]),
    audit=st.sampled_from([0.0, 0.001, 0.25]),
)


@settings(max_examples=25)
@given(asked=answers)
def test_every_answer_makes_a_policy_that_passes_with_every_rule_covered(
    tmp_path_factory: pytest.TempPathFactory, asked: Answers
) -> None:
    folder = tmp_path_factory.mktemp("policies")
    start(asked, folder, NOW)
    assert examine(folder).mistakes == ()
    policies = load(folder)
    (policy,) = policies.policies
    result = run_cases(policies, policy, NOW)
    assert policy.client == asked.client
    assert result.passed, [case.problems for case in result.results]
    assert result.uncovered == []


def medium(client: str = "new", extends: str | None = None) -> Answers:
    return Answers(client=client, labels=CATALOGUE, tiers=dict.fromkeys(TOP_LABELS, "medium"), extends=extends)


def test_it_may_extend_a_house(folder: Path) -> None:
    policy, cases = start(medium(extends="house"), Path("policies"), NOW)
    assert (policy, cases) == (Path("policies/new.yaml"), Path("policies/new.cases.yaml"))
    assert load(Path("policies")).policy("new")


def test_a_file_in_the_way_is_never_overwritten(folder: Path) -> None:
    before = Path("policies/acme.yaml").read_bytes()
    with pytest.raises(ConfigurationError, match=r"policies/acme\.yaml exists already"):
        start(medium("acme"), Path("policies"), NOW)
    assert Path("policies/acme.yaml").read_bytes() == before


def test_nothing_is_written_where_the_parent_is_unknown(folder: Path) -> None:
    with pytest.raises(PolicyMistakes, match="there is no policy 'huose' to extend"):
        start(medium(extends="huose"), Path("policies"), NOW)
    assert not Path("policies/new.yaml").exists()


def test_nothing_is_written_where_what_it_inherits_decides_otherwise(folder: Path) -> None:
    house = Path("policies/house.yaml")
    house.write_text(house.read_text("utf-8") + 'rules:\n  all:\n    when: "true"\n    verdict: block\n', "utf-8")
    with pytest.raises(ConfigurationError, match="what it inherits decides otherwise"):
        start(medium(extends="house"), Path("policies"), NOW)
    assert not Path("policies/new.yaml").exists()


HOUSE = """organisation: house
suitability: medium
thresholds: {violence.weapon: {block: 0.6}}
markets: {"DE": {thresholds: {adult: {review: 0.1, block: 0.3}}}}
political:
  threshold: 0.6
  blackouts:
    always: {countries: ["FR"], from: 2020-01-01, until: 2100-01-01}
"""


def write_house(folder: Path) -> None:
    (folder / "policies/house.yaml").write_text(HOUSE, "utf-8")


@pytest.mark.parametrize("years", [-5, 0, 30])
def test_cases_pin_their_clock_and_a_country_without_rules_of_its_own(folder: Path, years: int) -> None:
    write_house(folder)
    _, cases = start(medium(extends="house"), Path("policies"), NOW)
    text = cases.read_text("utf-8")
    assert "now: 2026-11-22T12:00:00Z" in text
    assert 'country: "GB"' in text
    policies = load(Path("policies"))
    policy = policies.policy("new")
    assert policy
    result = run_cases(policies, policy, NOW.replace(year=NOW.year + years))
    assert result.passed, [case.problems for case in result.results]


def test_what_is_inherited_gets_cases_too(folder: Path) -> None:
    write_house(folder)
    _, cases = start(medium(extends="house"), Path("policies"), NOW)
    assert "thresholds.creative.violence.weapon.block" in cases.read_text("utf-8")


def test_the_clock_of_a_policy_that_begins_later_is_its_beginning(folder: Path) -> None:
    (folder / "policies/house.yaml").write_text("organisation: house\nvalid_from: 2027-03-01\n", "utf-8")
    _, cases = start(medium(extends="house"), Path("policies"), NOW)
    assert "now: 2027-03-01T00:00:00Z" in cases.read_text("utf-8")


@pytest.mark.parametrize("tiers", [{}, {"violence": "low"}, dict.fromkeys(TOP_LABELS, "floor")])
def test_a_campaign_gets_a_policy_with_cases_over_what_it_inherits(folder: Path, tiers: dict[str, str]) -> None:
    answers = Answers(client="acme/spring", labels=CATALOGUE, tiers=tiers, on_error=None)
    written, cases = start(answers, Path("policies"), NOW)
    assert written == Path("policies/acme-spring.yaml")
    assert 'campaign: "spring"\nextends: "acme"\n' in written.read_text("utf-8")
    assert "campaign: spring" in cases.read_text("utf-8")
    policies = load(Path("policies"))
    policy = policies.policy("acme", "spring")
    assert policy
    result = run_cases(policies, policy, NOW)
    assert result.passed
    assert "thresholds.creative.violence.weapon.block" in result.fired


def test_a_campaign_of_a_client_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(PolicyMistakes, match="there is no policy 'acne' to extend"):
        start(Answers(client="acne/spring", labels=CATALOGUE, tiers={}), Path("policies"), NOW)
