"""What a value means decides, not how it is spelled; what cannot be compared is looked at where a rule needs it."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from moderation.events import Verdict
from moderation.policy import load
from moderation.policy.tools.cases import all_passed, run_cases
from tests.policy.making import NOW, decide, event, loaded, rules

CASES = Path(__file__).parent.parent / "reported"
LISTED = "client: acme\nlists:\n"


@pytest.mark.parametrize("case", ["2-adomain-url", "3-cattax-default", "11-bom-crid-list"])
def test_the_reported_cases_pass(case: str, tmp_path: Path) -> None:
    shutil.copytree(CASES / case, tmp_path / case)
    policies = load(tmp_path / case)
    results = [run_cases(policies, policy, NOW) for policy in policies.policies]
    assert all_passed(results), [r.problems for result in results for r in result.results]


@pytest.mark.parametrize(
    ("kind", "entry", "context"),
    [
        ("crid", "CR-1", {"crid": "\ufeffCR-1 "}),
        ("crid", "1001", {"crid": 1001}),
        ("adomain", "casino.example", {"adomain": "https://www.casino.example/win?x=1"}),
        ("adomain", "straße.example", {"adomain": ["http://xn--strae-oqa.example:80/"]}),
        ("domain", "bad.example", {"domain": "BAD.example:8080"}),
        ("domain", "bad.example", {"page_url": "//bad.example./x"}),
        ("domain", "bad.example", {"domain": "n/a", "page_url": "https://bad.example/x"}),
        ("page_url", "news.example/a/*", {"page_url": "https://news.example:443//a/./%62?q=1"}),
        ("page_url", "news.example/caf%c3%a9", {"page_url": "news.example/cafe\u0301/"}),
    ],
)
@pytest.mark.parametrize("verdict", ["block", "review"])
def test_lists_know_every_spelling(
    tmp_path: Path, kind: str, entry: str, context: dict[str, Any], verdict: str
) -> None:
    policies = loaded(tmp_path, acme=f"{LISTED}  {verdict}: {{{kind}: ['{entry}']}}")
    decision = decide(policies, context=context)
    assert (decision.verdict.value, rules(decision)) == (verdict, [f"lists.{verdict}.{kind}"])


def test_an_event_is_answered_with_what_it_sent(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme=f"{LISTED}  block: {{crid: [CR-1]}}")
    sent = {"crid": "\ufeffCR-1 ", "adomain": ["https://User:secret@Casino.example/x?id=7#y"], "country": "uk"}
    context = decide(policies, context=sent).context
    assert (context.crid, context.adomain, context.country) == ("\ufeffCR-1 ", ("https://Casino.example/x",), "uk")


LIFTED = "client: acme\nthresholds: {violence: {review: 0.3}}\nlists: {allow: {adomain: [shop.example]}}"


@pytest.mark.parametrize(
    ("adomain", "verdict"),
    [
        (["https://shop.example/a"], "allow"),
        (["SHOP.example, www.shop.example"], "allow"),
        (["shop.example", "other.example"], "review"),
        (["shop.example", "no domain"], "review"),
        (["shop"], "review"),
    ],
)
def test_an_allow_list_lifts_only_what_it_knows_whole(tmp_path: Path, adomain: list[str], verdict: str) -> None:
    policies = loaded(tmp_path, acme=LIFTED)
    assert decide(policies, scores={"violence": 0.4}, context={"adomain": adomain}).verdict.value == verdict
    assert decide(policies, context={"adomain": adomain}).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    ("kind", "entry", "context"),
    [
        ("crid", "CR-1", {"crid": "CR\ufffd1"}),
        ("adomain", "casino.example", {"adomain": ["casino"]}),
        ("adomain", "casino.example", {"adomain": ["ok.example", "a..b"]}),
        ("domain", "bad.example", {"domain": "unknown"}),
        ("domain", "bad.example", {"page_url": "http://[bad"}),
        ("page_url", "bad.example/*", {"page_url": "about:blank"}),
    ],
)
def test_what_a_list_cannot_compare_is_looked_at(
    tmp_path: Path, kind: str, entry: str, context: dict[str, Any]
) -> None:
    policies = loaded(
        tmp_path,
        acme=f"{LISTED}  block: {{{kind}: ['{entry}']}}",
        other="client: other\nlists: {block: {content_sha256: ['" + "0" * 64 + "']}}",
    )
    decided = {d.client: d for d in policies.decide([event(context=context)], NOW)[0]}
    assert (decided["acme"].verdict, rules(decided["acme"])) == (Verdict.REVIEW, [f"incomparable.{kind}"])
    detail = decided["acme"].reasons[0].detail or ""
    assert detail.startswith(f"{kind}: '") and detail.endswith(f"lists.block.{kind} needs it")
    assert decided["other"].verdict is Verdict.ALLOW
    assert decided["acme"].adtech is not None and decided["acme"].adtech.audit_status == 1


def test_a_match_beside_what_cannot_be_compared_still_blocks(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme=f"{LISTED}  block: {{adomain: [casino.example]}}")
    decision = decide(policies, context={"adomain": ["casino.example", "???"]})
    assert (decision.verdict, rules(decision)) == (Verdict.BLOCK, ["lists.block.adomain", "incomparable.adomain"])


MARKETS = """
client: acme
thresholds: {violence: {review: 0.5}}
markets:
  "NO": {thresholds: {violence: {review: 0.2, block: 0.4}}}
  "DE": {thresholds: {violence: {review: 0.9}}}
"""


@pytest.mark.parametrize(
    ("country", "score", "verdict", "fired"),
    [
        (
            "nor",
            0.4,
            "block",
            ["markets.NO.thresholds.creative.violence.block", "markets.NO.thresholds.creative.violence.review"],
        ),
        ("ZZ", 0.1, "allow", []),
        ("ZZ", 0.2, "review", ["incomparable.country"]),
        ("--", 0.4, "review", ["incomparable.country"]),
        ("ZZ", 0.5, "review", ["incomparable.country", "thresholds.creative.violence.review"]),
        ("EU", 0.6, "review", ["incomparable.country", "thresholds.creative.violence.review"]),
        (None, 0.4, "allow", []),
        ("", 0.4, "allow", []),
        ("FR", 0.4, "allow", []),
    ],
)
def test_thresholds_of_a_market_where_no_country_is_known(
    tmp_path: Path, country: str | None, score: float, verdict: str, fired: list[str]
) -> None:
    decision = decide(loaded(tmp_path, acme=MARKETS), scores={"violence": score}, context={"country": country})
    assert (decision.verdict.value, rules(decision)) == (verdict, fired)


POLITICAL = """
client: acme
political:
  threshold: 0.6
  declared: allow
  countries: {"FR": {declared: block, threshold: 0.3}, "US": {undeclared: allow}}
  blackouts: {vote: {countries: ["NO"], from: 2026-11-20, until: 2026-11-30}}
"""


@pytest.mark.parametrize(
    ("context", "score", "day", "verdict", "fired"),
    [
        ({"country": "UK", "declared_political": True}, 0.1, 1, "allow", ["political.declared"]),
        (
            {"country": "ZZ", "declared_political": True},
            0.1,
            1,
            "review",
            ["incomparable.country", "political.declared"],
        ),
        ({"country": "A1"}, 0.4, 1, "review", ["incomparable.country"]),
        ({"country": "A1"}, 0.2, 1, "allow", []),
        (
            {"country": "EU", "declared_political": "true"},
            0.1,
            21,
            "review",
            ["incomparable.country", "political.blackouts.vote", "political.declared"],
        ),
        ({"country": "no", "cat": ["iab 11-4"]}, 0.1, 21, "block", ["political.blackouts.vote", "political.declared"]),
        ({"country": "NO", "cat": ["386"], "cattax": 77}, 0.1, 21, "review", ["incomparable.cat"]),
        ({"country": "NO", "cat": ["386"], "cattax": 77}, 0.1, 1, "allow", []),
        ({"country": "FR", "cat": ["386"]}, 0.1, 1, "review", ["incomparable.cat"]),
        ({"country": "FR", "cat": ["IAB1"]}, 0.1, 1, "allow", []),
    ],
)
def test_political_where_country_or_category_cannot_be_read(
    tmp_path: Path, context: dict[str, Any], score: float, day: int, verdict: str, fired: list[str]
) -> None:
    now = datetime(2026, 11, day, 12, tzinfo=UTC)
    policies = loaded(tmp_path, acme=POLITICAL)
    (decision,) = policies.decide([event(scores={"political": score}, context=context, scored_at=now)], now)[0]
    assert (decision.verdict.value, rules(decision)) == (verdict, fired)


@pytest.mark.parametrize(
    ("when", "context", "fired"),
    [
        ('country == "GB"', {"country": "uk"}, ["rules.r"]),
        ('country == "NO"', {"country": "ZZ"}, ["incomparable.country"]),
        ('country == "NO"', {}, []),
        ('surface == "page" && country == "NO"', {"country": "ZZ"}, []),
        ('surface == "creative" || country == "NO"', {"country": "ZZ"}, ["rules.r"]),
        ('"casino.example" in adomain', {"adomain": "https://casino.example:443/"}, ["rules.r"]),
        ('"casino.example" in adomain', {"adomain": ["casino.example", "???"]}, ["rules.r"]),
        ('"casino.example" in adomain', {"adomain": ["ok.example", "???"]}, ["incomparable.adomain"]),
        ('domain == "a.example"', {"domain": "A.example/"}, ["rules.r"]),
        ('domain == "a.example"', {"domain": "b.example,a.example"}, ["incomparable.domain"]),
        ('domain == ""', {"page_url": "https://a.example/"}, ["rules.r"]),
        ('page_url == "https://a.example/b/"', {"page_url": "HTTPS://A.example:443/x/../b/?q"}, ["rules.r"]),
        ('crid == "C 1"', {"crid": "C\u00a01\ufeff"}, ["rules.r"]),
        ('cattax == 1 && "IAB11-4" in cat', {"cat": ["iab11-4"]}, ["rules.r"]),
        ('"x" in cat', {"cat": ["x"], "cattax": 500}, ["rules.r"]),
        ("cattax == null", {}, ["rules.r"]),
    ],
)  # fmt: skip
def test_expressions_see_normal_values(tmp_path: Path, when: str, context: dict[str, Any], fired: list[str]) -> None:
    policies = loaded(tmp_path, acme=f"client: acme\nrules: {{r: {{when: '{when}', verdict: review}}}}")
    assert rules(decide(policies, context=context)) == fired


def test_a_rule_that_allows_does_not_allow_by_what_it_cannot_read(tmp_path: Path) -> None:
    text = """
        client: acme
        thresholds: {violence: {review: 0.3}}
        rules: {trusted: {when: 'domain == "a.example"', verdict: allow}}
    """
    policies = loaded(tmp_path, acme=text)
    assert decide(policies, scores={"violence": 0.4}, context={"domain": "a.example:80"}).verdict is Verdict.ALLOW
    assert decide(policies, scores={"violence": 0.4}, context={"domain": "a"}).verdict is Verdict.REVIEW


ROUTED = """
client: acme
applies_to: {countries: ["NO"], seats: ["512"]}
"""


@pytest.mark.parametrize(
    ("context", "verdicts"),
    [
        ({"country": "nor", "seat": 512}, ["allow"]),
        ({"country": "NO", "seat": "\ufeff512 "}, ["allow"]),
        ({"country": "ZZ", "seat": "512"}, ["review"]),
        ({"country": "NO", "seat": "51\ufffd"}, ["review"]),
        ({"country": "DE", "seat": "51\ufffd"}, []),
        ({"seat": "512"}, []),
        ({"country": "ZZ", "seat": "513"}, []),
    ],
)
def test_whom_an_event_concerns(tmp_path: Path, context: dict[str, Any], verdicts: list[str]) -> None:
    policies = loaded(tmp_path, acme=ROUTED)
    assert [d.verdict.value for d in policies.decide([event(context=context)], NOW)[0]] == verdicts


def test_clients_and_campaigns_are_known_by_every_spelling(tmp_path: Path) -> None:
    policies = loaded(
        tmp_path,
        acme="client: acme\nversion: '1'",
        spring="campaign: spring\nextends: acme\nversion: '2'",
    )
    decided = policies.decide(
        [event(clients=["acme ", "\ufeffacme", "acme"], context={"campaign": "spring\u200b"})], NOW
    )
    assert [(d.client, d.policy and d.policy.version) for d in decided[0]] == [("acme", "2")]
    assert [
        d.policy and d.policy.version for d in policies.decide([event(context={"campaign": " spring"})], NOW)[0]
    ] == ["2"]


def test_which_campaign_it_is_cannot_be_read(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme", spring="campaign: spring\nextends: acme", other="client: other")
    decided = policies.decide([event(context={"campaign": "spr\ufffdng"})], NOW)[0]
    assert {d.client: (d.verdict.value, rules(d)) for d in decided} == {
        "acme": ("review", ["incomparable.campaign"]),
        "other": ("allow", []),
    }


def test_a_list_file_is_read_as_people_see_it(tmp_path: Path) -> None:
    lines = ["\ufeffCR-1", '"CR-2"', " CR-3\u00a0", "CR\u200b-4", "ＣＲ－５", "CR-6;", "cafe\u0301", "CR-7  # why"]
    (tmp_path / "old-mac.txt").write_bytes("\r".join(lines).encode())
    policies = loaded(tmp_path, acme="client: acme\nlists: {block: {crid: {files: [old-mac.txt]}}}")
    for crid in ("CR-1", "CR-2", "CR-3", "CR-4", "CR-5", "CR-6", "café", "CR-7"):
        assert decide(policies, context={"crid": crid}).verdict is Verdict.BLOCK, crid
    assert decide(policies, context={"crid": "CR-8"}).verdict is Verdict.ALLOW
