"""Organisation → client → campaign: what is in force, and where it came from."""

from pathlib import Path

from moderation.events import Surface, Verdict
from moderation.policy import EffectivePolicy, PolicySet, examine, load
from tests.catalogue import CATALOGUE, TIERS, cut
from tests.policy.making import decide, loaded, rules, write

HOLDING = """
    organisation: holding
    version: "7"
    suitability: medium
    on_error: block
    lists: {block: {crid: [c1]}}
    rules: {night: {when: 'page_url.contains("/night/")', verdict: block}}
"""
ACME = """
    client: acme
    extends: holding
    thresholds: {violence: {block: 0.9}}
    lists: {block: {crid: [c2]}}
    rules: {late: {when: 'page_url.contains("/late/")', verdict: review}}
"""


def threshold(policies: PolicySet, label: str, verdict: Verdict, campaign: str | None = None) -> float:
    return policy(policies, campaign).limits_at(Surface.CREATIVE, None)[label, verdict].threshold


def policy(policies: PolicySet, campaign: str | None = None) -> EffectivePolicy:
    found = policies.policy("acme", campaign)
    assert found is not None
    return found


def test_the_nearer_file_wins_and_the_rest_is_inherited(tmp_path: Path) -> None:
    policies = loaded(tmp_path, holding=HOLDING, acme=ACME)
    assert policies.clients == ("acme",)
    assert threshold(policies, "violence", Verdict.BLOCK) == 0.9
    assert threshold(policies, "violence", Verdict.REVIEW) == cut("violence", "medium").review
    assert policy(policies).version == "7"
    assert decide(policies, status="TIMEOUT").verdict is Verdict.BLOCK


def test_lists_and_rules_add_up(tmp_path: Path) -> None:
    policies = loaded(tmp_path, holding=HOLDING, acme=ACME)
    assert decide(policies, context={"crid": "c1"}).verdict is Verdict.BLOCK
    assert decide(policies, context={"crid": "c2"}).verdict is Verdict.BLOCK
    both = decide(policies, context={"page_url": "https://x.example/night/late/"})
    assert rules(both) == ["rules.night", "rules.late"]


def test_a_childs_tier_wins_over_a_parents_threshold_in_the_same_place(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        holding="organisation: holding\nthresholds: {violence: {review: 0.95, block: 0.99}}",
        acme="client: acme\nextends: holding\nsuitability: low",
    )
    assert threshold(policies, "violence", Verdict.BLOCK) == cut("violence", "low").block


def test_a_threshold_beside_a_tier_wins(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nsuitability: low\nthresholds: {violence: {block: 0.9}}")
    assert threshold(policies, "violence", Verdict.BLOCK) == 0.9
    assert threshold(policies, "violence", Verdict.REVIEW) == cut("violence", "low").review


def test_three_generations_each_with_its_origin(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        holding=HOLDING,
        acme=ACME,
        spring="campaign: spring\nextends: acme\nthresholds: {adult: {block: 0.99}}",
    )
    printed = {path: (value, origin) for path, value, origin in policy(policies, "spring").printable()}
    assert printed["thresholds.adult.block"] == ("0.99", f"{tmp_path}/spring.yaml:3")
    assert printed["thresholds.violence.block"] == ("0.9", f"{tmp_path}/acme.yaml:4")
    assert printed["thresholds.violence.review"] == ("0.45", f"{tmp_path}/holding.yaml:4 (suitability medium)")
    assert printed["client"][0] == "acme"
    assert policy(policies, "spring").files == tuple(f"{tmp_path}/{n}.yaml" for n in ("spring", "acme", "holding"))


def test_the_hash_is_of_what_is_in_force(tmp_path: Path) -> None:
    def hash_of(name: str, **files: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        return policy(loaded(folder, **files)).hash

    plain = hash_of("a", acme="client: acme\nthresholds: {violence: {block: 0.9}}")
    assert plain == hash_of("b", acme="# a comment\nthresholds:\n  violence:\n    block: 0.90\nclient: 'acme'")
    assert plain != hash_of("c", acme="client: acme\nthresholds: {violence: {block: 0.91}}")
    parent = "organisation: holding\nthresholds: {violence: {block: 0.%d}}"
    first = hash_of("d", holding=parent % 8, acme="client: acme\nextends: holding")
    assert first != hash_of("e", holding=parent % 7, acme="client: acme\nextends: holding")


def test_the_hash_follows_the_content_of_list_files(tmp_path: Path) -> None:
    write(tmp_path, acme="client: acme\nlists: {block: {crid: {files: [bad.txt]}}}")
    (tmp_path / "bad.txt").write_text("c1\n")
    before = policy(load(tmp_path)).hash
    (tmp_path / "bad.txt").write_text("c1\nc2\n")
    assert policy(load(tmp_path)).hash != before


def test_a_child_of_a_broken_parent_does_not_go_live(tmp_path: Path) -> None:
    write(tmp_path, holding="organisation: holding\nsuitability: lo", acme=ACME, other="client: other")
    examination = examine(tmp_path)
    assert [p.client for p in examination.policies] == ["other"]
    assert {m.file for m in examination.mistakes} == {f"{tmp_path}/holding.yaml"}


def test_stricter_tiers_are_stricter_for_every_label() -> None:
    for label in ("violence", "adult", "political"):
        for verdict in ("review", "block"):
            numbers = [getattr(cut(label, tier), verdict) for tier in TIERS]
            assert numbers == sorted(numbers, reverse=True)
        assert all(cut(label, tier).review <= cut(label, tier).block for tier in TIERS)
    assert CATALOGUE.suitability == "suitability-1"


def test_policies_in_folders_below_are_found_and_cases_are_not_policies(tmp_path: Path) -> None:
    (tmp_path / "emea").mkdir()
    write(tmp_path / "emea", acme="client: acme\nlists: {block: {crid: {files: [bad.txt]}}}", acme__cases="cases: []")
    (tmp_path / "emea" / "bad.txt").write_text("c1\n")
    policies = load(tmp_path)
    assert policies.clients == ("acme",)
    assert decide(policies, context={"crid": "c1"}).verdict is Verdict.BLOCK
