"""The tools of policies over the real servers: scores from a topic, an image scored by Triton."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moderation.errors import ConfigurationError
from stream.cli.policy import policy
from stream.kafka import Output, produce_all
from stream.sandbox import Sandbox
from stream.score_sources import from_topic
from stream.settings import Settings, read_settings
from tests.policy.making import event
from tests.records import png
from tests.services.conftest import TopicMaker

pytestmark = pytest.mark.services
POLICIES = str(Path(__file__).parent.parent / "policy_tools/policies")
CANDIDATE = str(Path(__file__).parent.parent / "policy_tools/candidate.yaml")


@pytest.fixture
def settings(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ADJUDICATE_KAFKA__BOOTSTRAP_SERVERS", sandbox.bootstrap_servers)
    monkeypatch.setenv("ADJUDICATE_TRITON__URL", sandbox.triton_grpc)
    return read_settings()


def test_a_topic_is_read_to_its_end(settings: Settings, make_topic: TopicMaker) -> None:
    topic = make_topic("scores")
    written = [event(f"e{n}", {"violence": n / 100}) for n in range(50)]
    produce_all(settings.kafka, [Output(topic, e.event_id.encode(), e.model_dump_json().encode()) for e in written])
    assert {found.event_id: found for found in from_topic(settings, topic)} == {e.event_id: e for e in written}


def test_a_difference_over_a_topic_is_the_difference_over_a_file(settings: Settings, make_topic: TopicMaker) -> None:
    topic = make_topic("scores")
    written = [event(f"e{n}", {"violence": n / 100}, impressions=10) for n in range(100)]
    produce_all(settings.kafka, [Output(topic, e.event_id.encode(), e.model_dump_json().encode()) for e in written])
    result = CliRunner().invoke(policy, ["diff", POLICIES, CANDIDATE, "--scores", f"topic:{topic}", "--json"])
    told = json.loads(result.stdout)
    # medium reviews violence from 0.45 and blocks from 0.75; low from 0.25 and 0.50.
    assert (told["events"], told["flipped"]) == (100, {"events": 45, "impressions": 450})


def test_a_topic_of_something_else_is_refused_at_its_place(settings: Settings, make_topic: TopicMaker) -> None:
    topic = make_topic("other", partitions=1)
    produce_all(settings.kafka, [Output(topic, b"k", b"{}")])
    with pytest.raises(ConfigurationError, match=r"other\[0\]@0: not a scored event"):
        list(from_topic(settings, topic))


def test_an_image_is_scored_and_explained(settings: Settings, tmp_path: Path) -> None:
    image = tmp_path / "red.png"
    image.write_bytes(png())
    result = CliRunner().invoke(
        policy, ["explain", "zeta", "--policies", POLICIES, "--image", str(image), "--country", "DE", "--json"]
    )
    assert result.exception is None, result.output
    told = json.loads(result.stdout)
    assert (told["event_id"], told["decision"]["status"]) == ("red.png", "OK")
    assert told["decision"]["context"]["country"] == "DE"
    assert told["decision"]["model"]["name"] == "brand_safety"


def test_an_image_that_cannot_be_read_is_explained_as_such(settings: Settings, tmp_path: Path) -> None:
    image = tmp_path / "text.png"
    image.write_text("no image")
    result = CliRunner().invoke(policy, ["explain", "zeta", "--policies", POLICIES, "--image", str(image), "--json"])
    told = json.loads(result.stdout)
    assert told["verdict"] == "review"
    assert told["rules"][0]["rule"].startswith("on_error.DECODE_")
