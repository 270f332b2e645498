"""docker-compose.yml against the Compose schema, against the sandbox's settings, and for least privilege.

No container engine is needed, so none is asked for: that the file *runs* is not shown here.
"""

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from stream.sandbox import TOPICS
from stream.sandbox.kafka_cluster import RECIPE, replication
from stream.sandbox.triton_server import MODEL
from stream.settings import read_settings

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ("score", "decide")
PINNED = re.compile(r"^[\w./-]+:\d+\.\d+[\w.-]*$")


def test_it_follows_the_compose_schema() -> None:
    package = metadata.distribution("check-jsonschema")
    schema = package.locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    jsonschema.Draft7Validator(json.loads(Path(str(schema)).read_text())).validate(COMPOSE)


def test_it_has_every_part() -> None:
    assert set(SERVICES) == {"kafka", "topics", "triton", "redis", *WORKERS}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_unprivileged(name: str) -> None:
    service = SERVICES[name]
    assert PINNED.match(service["image"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in {"root", "0", "0:0"}
    assert not service.get("privileged")


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "topics"])
def test_every_server_tells_its_health(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_only_the_scorer_reaches_outside() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert [name for name, service in SERVICES.items() if "outside" in service["networks"]] == ["score"]


@pytest.mark.parametrize("name", [*WORKERS, "redis"])
def test_root_file_systems_are_read_only(name: str) -> None:
    assert SERVICES[name]["read_only"] is True


def test_mounted_files_exist_and_cannot_be_written() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", []) if volume[0] == "."]
    assert len(mounts) == 4
    for mount in mounts:
        source, _, mode = mount.split(":")
        assert mode == "ro"
        assert (ROOT / source).exists(), source


def test_kafka_has_the_sandboxs_version_settings_and_topics() -> None:
    pom = (RECIPE / "pom.xml").read_text()
    version = re.search(r"kafka_2\.13</artifactId>\s*<version>(.+)</version>", pom)
    assert version is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version[1]}"
    environment = {key: str(value) for key, value in SERVICES["kafka"]["environment"].items()}
    expected = {"KAFKA_" + key.upper().replace(".", "_"): value for key, value in replication(1).items()}
    assert environment.items() >= expected.items()
    assert all(re.search(rf"(?m)\s{re.escape(topic)}[\s;]", SERVICES["topics"]["command"][0]) for topic in TOPICS)


def test_triton_serves_a_config_that_exists_and_guards_its_administration() -> None:
    command = SERVICES["triton"]["command"]
    named = next(option for option in command if option.startswith("--model-config-name="))
    default = re.search(r":-(\w+)}", named)
    assert default is not None
    assert (ROOT / "model_repository" / MODEL / "configs" / f"{default[1]}.pbtxt").is_file()
    for option in ("--grpc-restricted-protocol", "--http-restricted-api"):
        assert any(part.startswith(f"{option}=model-repository,shared-memory") for part in command)


@pytest.mark.parametrize("name", WORKERS)
def test_the_workers_settings_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, re.sub(r"\$\{[^}]*\}", "secret", value))
    settings = read_settings(None)
    assert settings.kafka.bootstrap_servers == "kafka:19092"
    assert settings.triton.url == "triton:8001"
    assert settings.redis.url is not None


def test_no_secret_stands_in_the_file() -> None:
    secrets = re.findall(
        r"(?:requirepass.,|AUTH:|triton-admin=|redis://:)\s*\"?([^\s\"@]+)", (ROOT / "docker-compose.yml").read_text()
    )
    assert len(secrets) == 5
    assert all(secret.startswith("${") for secret in secrets)


def test_one_installer_version_everywhere() -> None:
    versions = {re.findall(r"uv==([\d.]+)", (ROOT / file).read_text())[0] for file in ("Makefile", "Dockerfile")}
    assert len(versions) == 1


def test_the_image_runs_as_nobody_in_particular() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert all(PINNED.match(base) for base in bases)
    assert "USER 10001:10001" in lines
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
