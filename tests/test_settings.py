from pathlib import Path

import pytest

from moderation.errors import ConfigurationError
from stream.cli.settings import reference
from stream.settings import Settings, read_settings

DOCS = Path(__file__).parent.parent / "docs"


def test_the_reference_page_is_what_the_command_prints() -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == reference()


def test_environment_wins_over_file_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("kafka: {bootstrap_servers: 'file:1', session_timeout_s: 7}\ntriton: {url: 'file:2'}\n")
    monkeypatch.setenv("ADJUDICATE_KAFKA__BOOTSTRAP_SERVERS", "environment:1")
    settings = read_settings(file)
    assert settings.kafka.bootstrap_servers == "environment:1"
    assert settings.kafka.session_timeout_s == 7
    assert settings.triton.url == "file:2"
    assert settings.worker == Settings().worker


def test_secrets_come_from_files_and_are_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ADJUDICATE_KAFKA__SASL_PASSWORD").write_text("hunter2")
    monkeypatch.setenv("ADJUDICATE_SECRETS_DIR", str(tmp_path))
    settings = read_settings()
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings) + str(settings.model_dump(mode="json"))


def test_every_wrong_key_is_named_with_its_variable(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("kafka: {bootstrap: x, session_timeout_s: -1}\nworker: {batch: many}\n")
    with pytest.raises(ConfigurationError) as caught:
        read_settings(file)
    message = str(caught.value)
    assert "3 wrong" in message
    assert "kafka.bootstrap (ADJUDICATE_KAFKA__BOOTSTRAP)" in message
    assert "kafka.session_timeout_s" in message
    assert "worker.batch" in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kafka: {session_timeout_s: 90}", "max_poll_interval_s is shorter than session_timeout_s"),
        ("kafka: {ssl_ca: /nowhere/ca.pem}", "kafka.ssl_ca"),
        ("kafka: {transaction_timeout_s: 0.5}", "kafka.transaction_timeout_s"),
        ("triton: {tls_ca: /nowhere/ca.pem}", "triton.tls_ca"),
        ("redis: {url: 'localhost:6379'}", "begins with redis://"),
    ],
)
def test_what_could_never_work_is_refused_before_anything_starts(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        read_settings(file)


@pytest.mark.parametrize("text", ["[1, 2]", "kafka: [", "just text"])
def test_a_file_that_is_no_mapping_is_refused_by_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"broken\.yaml"):
        read_settings(file)


def test_a_missing_file_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        read_settings(Path("nowhere.yaml"))


@pytest.mark.parametrize(
    ("variable", "value"), [("ADJUDICATE_SECRETS_DIR", "/nowhere"), ("ADJUDICATE_FETCH__PORTS", "80;443")]
)
def test_an_unreadable_source_is_a_clear_error(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError):
        read_settings()
