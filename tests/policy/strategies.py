"""Random policies and scored events."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from moderation.events import Evidence, ScoredEvent, Status
from moderation.policy import PolicySet, examine_text
from tests.catalogue import LABELS, TOP_LABELS
from tests.evidence import evidence as make_evidence
from tests.evidence import image_evidence
from tests.policy import reference
from tests.policy.making import NOW

CLIENTS = ("acme", "bravo", "coda")
COUNTRIES = ("NO", "DE")
SHAS = ("a" * 64, "b" * 64)
answers = st.sampled_from(["allow", "review", "block"])
reviews = st.one_of(st.sampled_from([0.0, 0.25, 0.5]), st.floats(0, 0.5), st.just("never"))
blocks = st.one_of(st.sampled_from([0.5, 0.75, 1.0]), st.floats(0.5, 1), st.just("never"))
cuts = st.fixed_dictionaries({}, optional={"review": reviews, "block": blocks})
tiers = st.sampled_from(["low"])  # others would ask for reviews above drawn blocks
layers = {
    "suitability": st.dictionaries(st.sampled_from(TOP_LABELS), tiers, max_size=2),
    "thresholds": st.dictionaries(st.sampled_from(LABELS), cuts.filter(bool), max_size=3),
}
layer = st.fixed_dictionaries({}, optional=layers)
surfaces = st.dictionaries(st.sampled_from(["creative", "page"]), layer, max_size=2)
markets = st.dictionaries(
    st.sampled_from(COUNTRIES), st.fixed_dictionaries({}, optional={**layers, "surfaces": surfaces}), max_size=2
)
political_answers = {
    "threshold": st.one_of(st.floats(0, 1), st.just("never")),
    "declared": answers,
    "undeclared": answers,
}
political = st.fixed_dictionaries(
    {},
    optional={
        **political_answers,
        "countries": st.dictionaries(
            st.sampled_from(COUNTRIES), st.fixed_dictionaries({}, optional=political_answers), max_size=2
        ),
        "blackouts": st.just({"vote": {"countries": ["NO"], "from": "2026-11-20", "until": "2026-11-30"}}),
    },
).filter(bool)


@st.composite
def lists(draw: st.DrawFn) -> dict[str, Any]:
    """Every entry in one list at most: the same in two is refused."""
    pools = {
        "crid": ["c1", "c2"],
        "adomain": ["shop.example", "other.example"],
        "domain": ["news.example"],
        "content_sha256": list(SHAS),
    }
    out: dict[str, Any] = {}
    for kind, pool in pools.items():
        for entry in pool:
            verdict = draw(st.sampled_from(["block", "review", "allow", None]))
            if verdict:
                out.setdefault(verdict, {}).setdefault(kind, []).append(entry)
    return out


rules = st.dictionaries(
    st.sampled_from(["one", "two"]),
    st.fixed_dictionaries({"when": st.sampled_from(sorted(reference.EXPRESSIONS)), "verdict": answers}),
    max_size=2,
)
policies = st.fixed_dictionaries(
    {},
    optional={
        **layers,
        "surfaces": surfaces,
        "markets": markets,
        "lists": lists(),
        "political": political,
        "rules": rules,
        "uncertainty": st.one_of(st.floats(0, 1), st.just("never")),
        "on_error": answers,
        "on_missing_label": answers,
        "on_uncertain": answers,
        "on_expired": answers,
        "valid_until": st.sampled_from(["2026-11-21", "2026-11-22", "2030-01-01"]),
        "max_score_age_days": st.integers(1, 40),
    },
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "crid": st.sampled_from(["c1", "c2", "c3"]),
        "adomain": st.lists(
            st.sampled_from(["shop.example", "www.shop.example", "other.example", "x.example"]), max_size=2
        ),
        "domain": st.sampled_from(["news.example", "m.news.example", "fakenews.example"]),
        "country": st.sampled_from([*COUNTRIES, "FR"]),
        "declared_political": st.booleans(),
        "cattax": st.just(8),
        "cat": st.lists(st.sampled_from(["1474", "386"]), max_size=2),
    },
)
scores = st.dictionaries(
    st.sampled_from(LABELS), st.one_of(st.sampled_from([0.0, 0.2, 0.25, 0.3, 0.35, 0.5, 0.7, 1.0]), st.floats(0, 1))
)


@st.composite
def evidence(draw: st.DrawFn, found: dict[str, float]) -> list[Evidence]:
    """The image model, which may have failed, and a source that no label lists."""
    image = image_evidence(found, uncertainty=draw(st.one_of(st.none(), st.floats(0, 1))))
    failed = image_evidence(status=draw(st.sampled_from([Status.MODEL_UNAVAILABLE, Status.MODEL_REJECTED])))
    other = make_evidence("text", draw(scores))
    return draw(st.sampled_from([[image], [image], [image, other], [failed, other]]))


@st.composite
def events(draw: st.DrawFn) -> ScoredEvent:
    status = draw(st.one_of(st.just(Status.OK), st.sampled_from(Status)))
    found = {**dict.fromkeys(LABELS, 0.1), **draw(scores)}
    for label in draw(st.lists(st.sampled_from(LABELS), max_size=2)):
        found.pop(label, None)
    return ScoredEvent.model_validate(
        {
            "event_id": draw(
                st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=20)
            ),
            "surface": draw(st.sampled_from(["creative", "page"])),
            "clients": draw(st.one_of(st.just([]), st.lists(st.sampled_from([*CLIENTS, "nobody"]), max_size=4))),
            "context": draw(contexts),
            "status": status,
            "perceptual_hash": draw(st.sampled_from([None, "f" * 64, "0" * 7 + "8" + "f" * 56, "0" * 64])),
            "content_sha256": draw(st.sampled_from([None, *SHAS, "c" * 64])),
            "evidence": draw(evidence(found)) if status is Status.OK else [],
            "scored_at": NOW - timedelta(days=draw(st.integers(0, 60))),
        }
    )


def compiled(written: dict[str, dict[str, Any]]) -> PolicySet:
    texts = {f"{name}.yaml": json.dumps({"client": name, **policy}) for name, policy in written.items()}
    examination = examine_text(texts, Path())
    assert not examination.mistakes, [str(m) for m in examination.mistakes]
    return PolicySet(examination.policies)
