"""Decisions in ad-tech's terms: every id is in the standard it is said to be from, and says what is meant."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from moderation import adtech
from moderation.adtech import CATTAX, rule_table
from moderation.adtech_data import SENSITIVE, ids, rows, sources, standards, values
from moderation.events import AdContext, AdtechTerms, Reason, Status, Suitability, Surface, Verdict
from moderation.labels import LabelTerms
from tests.catalogue import CATALOGUE

terms = partial(adtech.terms, labels=CATALOGUE)
ALLOW, REVIEW, BLOCK = Verdict.ALLOW, Verdict.REVIEW, Verdict.BLOCK
CREATIVE, PAGE = Surface.CREATIVE, Surface.PAGE
MAPPING = [(surface, each.name, terms) for surface in Surface for each in CATALOGUE.labels
           for terms in (each.terms[surface],)]  # fmt: skip


def reason(rule: str, verdict: Verdict, label: str | None = None) -> Reason:
    score, threshold = (0.93, 0.8) if label else (None, None)
    passing = f"{label} < 0.80" if label else None
    return Reason(rule=rule, verdict=verdict, label=label, score=score, threshold=threshold, would_pass=passing)


def blocked(label: str, surface: Surface = CREATIVE) -> AdtechTerms:
    return terms(BLOCK, [reason(f"thresholds.{surface.value}.{label}.block", BLOCK, label)], surface, Status.OK)


class TestTables:
    def test_every_label_of_the_catalogue_says_something_on_every_surface(self) -> None:
        assert all(row != LabelTerms() for _, _, row in MAPPING)
        assert len(MAPPING) == 2 * len(CATALOGUE.labels)

    @pytest.mark.parametrize(("surface", "label", "row"), MAPPING)
    def test_every_id_of_the_mapping_is_a_row_of_its_standard(
        self, surface: Surface, label: str, row: LabelTerms
    ) -> None:
        found = {
            "content" if surface is PAGE else "product": row.cat,
            "risk": ids(row.risk or ""),
            "attr": map(str, row.attr),
            "loss": ids(str(row.loss or "")),
        }
        for name, keys in found.items():
            for key in keys:
                assert key in values()[name], f"{key} is not in {sources()['lists'][name]['title']}"

    def test_every_loss_code_of_a_rule_is_a_row_of_the_standard(self) -> None:
        assert all(row["loss"] in {"", *values()["loss"]} for row in rows("rules"))

    def test_risk_levels_stand_exactly_on_the_sensitive_topics(self) -> None:
        for surface, label, found in MAPPING:
            topics = [values()["content"][cat] for cat in found.cat] if surface is PAGE else []
            sensitive = any(topic["parent"] == SENSITIVE for topic in topics)
            assert (found.risk is not None) == sensitive, label

    def test_cattax_names_the_taxonomy_that_the_categories_are_from(self) -> None:
        assert values()["cattax"][str(CATTAX[CREATIVE])]["name"] == sources()["lists"]["product"]["title"]
        assert values()["cattax"][str(CATTAX[PAGE])]["name"] == sources()["lists"]["content"]["title"]

    def test_parents_are_rows_too(self) -> None:
        for known in values().values():
            assert all(row["parent"] in {"", *known} for row in known.values())

    def test_every_list_names_its_source_and_its_commit(self) -> None:
        assert set(sources()["lists"]) == set(values())
        assert all(len(source["commit"]) == 40 and source["path"] for source in sources()["lists"].values())

    def test_the_page_says_where_every_id_came_from(self) -> None:
        page = (Path(__file__).parent.parent / "docs/adtech.md").read_text("utf-8")
        for name, known in values().items():
            assert sources()["lists"][name]["commit"] in page
            for key, row in known.items():
                assert f"`{key}` {row['name']}" in page, f"{name} {key}"


class TestCreatives:
    @pytest.mark.parametrize(
        ("label", "cat", "attr", "loss"),
        [
            ("violence", ("1000",), (), 202),
            ("violence.weapon", ("1000", "1576"), (), 202),
            ("adult.explicit", ("1000", "1001"), (9,), 202),
            ("adult.suggestive", (), (9,), 210),
            ("political", ("1474",), (), 209),
            ("political.campaign", ("1474", "1476"), (), 209),
        ],
    )
    def test_a_block_says_category_attribute_and_loss(
        self, label: str, cat: tuple[str, ...], attr: tuple[int, ...], loss: int
    ) -> None:
        said = blocked(label)
        assert (said.audit_status, said.cattax, said.cat, said.attr, said.loss_code) == (4, 8, cat, attr, loss)
        assert said.catswithsuitability == ()

    def test_an_allow_is_approved_and_loses_nothing(self) -> None:
        said = terms(ALLOW, [], CREATIVE, Status.OK)
        assert (said.audit_status, said.loss_code, said.cat, said.audit_feedback) == (3, None, (), ())

    def test_a_review_is_pending(self) -> None:
        said = terms(REVIEW, [reason("thresholds.creative.adult.review", REVIEW, "adult")], CREATIVE, Status.OK)
        assert (said.audit_status, said.loss_code) == (1, 201)

    @pytest.mark.parametrize(("verdict", "status", "loss"), [(ALLOW, 2, None), (REVIEW, 1, 10), (BLOCK, 1, 10)])
    def test_what_was_not_examined_is_never_approved_nor_denied(
        self, verdict: Verdict, status: int, loss: int | None
    ) -> None:
        said = terms(verdict, [reason("on_error", verdict)], CREATIVE, Status.FETCH_FAILED)
        assert (said.audit_status, said.loss_code) == (status, loss)

    def test_what_we_could_not_do_is_pending_rather_than_the_buyers_missing_data(self) -> None:
        said = terms(REVIEW, [reason("on_error.MODEL_UNAVAILABLE", REVIEW)], CREATIVE, Status.MODEL_UNAVAILABLE)
        assert said.loss_code == 201
        fetch = terms(REVIEW, [reason("on_error.FETCH_FAILED", REVIEW)], CREATIVE, Status.FETCH_FAILED)
        assert fetch.loss_code == 10

    def test_a_label_that_was_not_scored_describes_nothing(self) -> None:
        said = terms(REVIEW, [reason("on_missing_label", REVIEW, "adult")], CREATIVE, Status.OK)
        assert (said.cat, said.attr) == ((), ())

    def test_a_known_bad_creative_is_denied_even_if_its_image_cannot_be_fetched(self) -> None:
        said = terms(BLOCK, [reason("lists.block.crid", BLOCK)], CREATIVE, Status.FETCH_FAILED)
        assert (said.audit_status, said.loss_code) == (4, 202)

    def test_a_blocked_advertiser_is_an_advertiser_exclusion(self) -> None:
        assert terms(BLOCK, [reason("lists.block.adomain", BLOCK)], CREATIVE, Status.OK).loss_code == 205

    def test_an_image_drawn_for_audit_is_pre_approved(self) -> None:
        assert terms(ALLOW, [], CREATIVE, Status.OK, audit_sample=True).audit_status == 2

    def test_declared_categories_of_the_same_taxonomy_stay_first(self) -> None:
        reasons = [reason("thresholds.creative.violence.block", BLOCK, "violence")]
        declared = AdContext(cattax=8, cat=("1070", "1000"))
        assert terms(BLOCK, reasons, CREATIVE, Status.OK, declared).cat == ("1070", "1000")
        other = AdContext(cattax=1, cat=("IAB18",))
        assert terms(BLOCK, reasons, CREATIVE, Status.OK, other).cat == ("1000",)


class TestPages:
    def test_a_block_says_topic_and_risk_and_no_loss_code(self) -> None:
        said = blocked("adult.explicit", PAGE)
        assert (said.cattax, said.cat, said.loss_code, said.attr) == (7, ("Rm3SiT",), None, ())
        assert said.catswithsuitability == (Suitability(category="Rm3SiT", suitability="bsr001"),)

    def test_a_review_names_the_topic_and_claims_no_risk_level(self) -> None:
        said = terms(REVIEW, [reason("thresholds.page.adult.review", REVIEW, "adult")], PAGE, Status.OK)
        assert said.catswithsuitability == (Suitability(category="Rm3SiT", suitability=None),)

    def test_a_topic_that_is_not_sensitive_has_no_risk_level(self) -> None:
        assert blocked("political", PAGE).catswithsuitability == (Suitability(category="386", suitability=None),)

    def test_a_block_that_was_lifted_claims_no_level(self) -> None:
        reasons = [reason("lists.allow.content_sha256", ALLOW), reason("thresholds.page.adult.block", BLOCK, "adult")]
        said = terms(ALLOW, reasons, PAGE, Status.OK)
        assert said.catswithsuitability == (Suitability(category="Rm3SiT", suitability=None),)

    def test_the_worst_level_of_a_topic_counts(self) -> None:
        reasons = [reason(f"thresholds.page.{label}.block", BLOCK, label) for label in ("violence", "violence.blood")]
        said = terms(BLOCK, reasons, PAGE, Status.OK)
        assert said.catswithsuitability == (Suitability(category="I4GWl6", suitability="bsr002"),)


class TestFeedback:
    def test_every_rule_that_fired_is_explained(self) -> None:
        reasons: Sequence[Reason] = [
            reason("thresholds.creative.violence.block", BLOCK, "violence"),
            Reason(rule="rules.night", verdict=REVIEW, detail="shown at night"),
            Reason(rule="lists.allow.crid", verdict=ALLOW),
        ]
        assert terms(BLOCK, reasons, CREATIVE, Status.OK).audit_feedback == (
            "thresholds.creative.violence.block: violence 0.93, limit 0.80; would pass: violence < 0.80",
            "rules.night: shown at night",
        )

    def test_the_same_combination_is_built_once_and_keeps_its_own_scores(self) -> None:
        first = terms(BLOCK, [reason("thresholds.page.adult.block", BLOCK, "adult")], PAGE, Status.OK)
        other = Reason(rule="thresholds.page.adult.block", verdict=BLOCK, label="adult", score=0.99, threshold=0.8)
        second = terms(BLOCK, [other], PAGE, Status.OK)
        assert first.catswithsuitability is second.catswithsuitability
        assert "0.99" in second.audit_feedback[0]


def test_an_unknown_rule_ends_the_audit_and_an_unknown_label_describes_nothing() -> None:
    assert "lists" in rule_table()
    said = terms(BLOCK, [reason("something.new", BLOCK, "unheard-of")], CREATIVE, Status.OK)
    assert (said.audit_status, said.loss_code, said.cat) == (4, 202, ())


class TestStandards:
    """The script that writes the table, over excerpts in the formats that the standards use."""

    def checkouts(self, directory: Path, without: str = "") -> Path:
        for name, source in sources()["lists"].items():
            path = directory / source["repository"] / source["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            known = [row for row in values()[name].values() if row["id"] != without]
            text = _tsv(known) if source["format"] == "tsv" else _markdown(source["anchor"], known)
            path.write_text((path.read_text("utf-8") if path.exists() else "") + text, "utf-8")
        return directory

    def test_the_committed_table_is_what_the_script_writes(self, tmp_path: Path) -> None:
        committed = Path(standards.__file__).parent.joinpath("values.tsv").read_text("utf-8")
        assert standards.table(self.checkouts(tmp_path)) == committed
        assert standards.main([str(tmp_path), "--check"]) == 0

    def test_an_id_that_the_standard_lacks_is_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert standards.main([str(self.checkouts(tmp_path, without="avbNf2")), "--check"]) == 1
        assert "Content Taxonomy 3.0 has no id avbNf2" in capsys.readouterr().err

    def test_a_missing_checkout_is_named_with_its_commit(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert standards.main([str(tmp_path)]) == 1
        assert sources()["lists"]["content"]["commit"] in capsys.readouterr().err


def _tsv(known: Sequence[dict[str, str]]) -> str:
    head = "Relational ID System\t\t\tTiers\nUnique ID\tParent\tName\tTier 1\n"
    return head + "".join(f"{row['id']}\t{row['parent']}\t{row['name']}\t{row['name']}\t\n" for row in known)


def _markdown(anchor: str, known: Sequence[dict[str, str]]) -> str:
    cells = "".join(
        f"  <tr>\n    <td>{row['id']}</td>\n    <td><strong>{row['name']}:</strong>  An explanation.</td>\n  </tr>\n"
        for row in known
    )
    head = "<tr>\n<td><strong>Value</strong></td>\n<td><strong>Definition</strong></td>\n</tr>"
    return f'\n### List <a name="{anchor}"></a>\n\n<table>\n{head}\n{cells}</table>\n'
