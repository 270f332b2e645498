from pathlib import Path

import pytest
from typer.testing import CliRunner

from moderation.errors import ConfigurationError
from stream.cli.app import app
from stream.cli.settings import reference
from stream.setting_mistakes import setting_fields
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


ONE_LINE = {
    "metrics port": (
        "worker: {metrics_port: 99999}",
        ["worker.metrics_port (ADJUDICATE_WORKER__METRICS_PORT) is 99999: ", "less than or equal to 65535"],
    ),
    "scheme": (
        "triton: {url: 'http://triton:8001/'}",
        ["triton.url (ADJUDICATE_TRITON__URL) is 'http://triton:8001/': ", "write triton:8001"],
    ),
    "no port": ("triton: {url: triton}", ["triton.url", "is 'triton'", "write host:port"]),
    "no mechanism": (
        "kafka: {security_protocol: SASL_SSL, sasl_username: u, sasl_password: hunter2}",
        ["kafka (ADJUDICATE_KAFKA): security_protocol SASL_SSL needs kafka.sasl_mechanism; set it"],
    ),
    "unknown key": ("kafka: {bootstrap_server: 'a:1'}", ["kafka.bootstrap_server ", "mean kafka.bootstrap_servers?"]),
}


@pytest.mark.parametrize("mistake", ONE_LINE)
def test_a_mistake_is_one_line_with_key_value_and_remedy(mistake: str, tmp_path: Path) -> None:
    text, parts = ONE_LINE[mistake]
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_settings(file)
    message = str(caught.value)
    assert "\n" not in message
    assert "hunter2" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ADJUDICATE_KAFKA_SASL_PASSWORD", "did you mean ADJUDICATE_KAFKA__SASL_PASSWORD?"),
        ("ADJUDICATE_TRITON__URI", "did you mean ADJUDICATE_TRITON__URL?"),
        ("ADJUDICATE_NOTHING_LIKE_IT_AT_ALL", "docs/settings.md"),
    ],
)
def test_a_misspelt_variable_is_named_without_its_value(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        read_settings()
    assert f"{variable} is no setting" in str(caught.value)
    assert meant in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_secret_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adjudicate_kafka_sasl_password").write_text("hunter2")
    monkeypatch.setenv("ADJUDICATE_SECRETS_DIR", str(tmp_path))
    with pytest.raises(ConfigurationError, match="adjudicate_kafka_sasl_password is no setting"):
        read_settings()


def test_variables_that_are_no_typing_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes adds some for each service, and tests have their own."""
    for name, value in {
        "ADJUDICATE_SCORE_SERVICE_HOST": "10.0.0.1",
        "ADJUDICATE_SCORE_SERVICE_PORT_METRICS": "9100",
        "ADJUDICATE_SCORE_PORT": "tcp://10.0.0.1:9100",
        "ADJUDICATE_SCORE_PORT_9100_TCP_ADDR": "10.0.0.1",
        "ADJUDICATE_TEST_LIVES": "x",
        "ADJUDICATE_KAFKA": '{"bootstrap_servers": "a:1"}',
    }.items():
        monkeypatch.setenv(name, value)
    assert read_settings().kafka.bootstrap_servers == "a:1"


def test_every_setting_says_what_it_is() -> None:
    assert [path for path, field in setting_fields(Settings) if not field.description] == []


def test_what_is_printed_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists as lists: in YAML, and in the form that a variable takes."""
    monkeypatch.setenv("ADJUDICATE_FETCH__PORTS", "[80, 443]")
    monkeypatch.setenv("ADJUDICATE_INSTANCE", "one")
    yaml_text = CliRunner().invoke(app, ["settings"]).output
    lines = CliRunner().invoke(app, ["settings", "--variables"]).output.splitlines()
    assert "ADJUDICATE_FETCH__PORTS=[80, 443]" in lines
    assert 'ADJUDICATE_FETCH__SCHEMES=["https"]' in lines
    before = read_settings()
    monkeypatch.delenv("ADJUDICATE_FETCH__PORTS")
    file = tmp_path / "s.yaml"
    file.write_text(yaml_text)
    assert read_settings(file) == before
    for line in lines:
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value)
    assert read_settings() == before
