"""TLS and passwords against a real broker, certificates against a real Triton, and what topics never hold."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import trustme
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from tritonclient import grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from moderation.classifier import TritonAddress, TritonClassifier
from moderation.errors import ModelUnavailable
from moderation.events import ScoredEvent
from moderation.policy import load as load_policies
from stream.cli.verify import examine
from stream.history import Topics, clients_by_policies
from stream.kafka import Output, create_topics, produce_all, read_committed
from stream.kafka.client import client_config
from stream.sandbox import KafkaOptions, Sandbox, TritonOptions
from stream.settings import KafkaSettings, Settings
from tests.faults.load import Events
from tests.services.conftest import TINY_MODEL_REPOSITORY

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]

ADJUDICATE = [sys.executable, "-c", "from stream.cli import main; main()"]
ADMIN = "only-operators-know"


@dataclass(frozen=True)
class Certificates:
    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    names = Certificates(
        *(directory / f"{name}.pem" for name in ("ca", "server", "server-key", "client", "client-key"))
    )
    authority.cert_pem.write_to_path(names.authority)
    for issued, chain, key in (
        (authority.issue_cert("127.0.0.1", "localhost"), names.server, names.server_key),
        (authority.issue_cert("worker@example.org"), names.client, names.client_key),
    ):
        issued.private_key_pem.write_to_path(key)
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(chain, append=number > 0)
    return names


@pytest.fixture(scope="module")
def secure(real_kafka: None, tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Sandbox]:
    """Kafka that wants TLS and a password, Triton that wants a client certificate and guards its controls."""
    mutual = {
        "grpc-use-ssl": "1",
        "grpc-use-ssl-mutual": "1",
        "grpc-server-cert": certificates.server,
        "grpc-server-key": certificates.server_key,
        "grpc-root-cert": certificates.authority,
        "grpc-restricted-protocol": f"model-repository,shared-memory,trace,logging:admin={ADMIN}",
    }
    triton = TritonOptions(
        model_repository=TINY_MODEL_REPOSITORY, arguments=tuple(f"--{name}={value}" for name, value in mutual.items())
    )
    options = KafkaOptions(secure=True)
    directory = tmp_path_factory.mktemp("secure")
    with Sandbox(directory, redis=False, kafka_options=options, triton_options=triton) as stack:
        yield stack


def environment(secure: Sandbox, certificates: Certificates, directory: Path, password: str) -> dict[str, str]:
    """Everything by environment, but the password: that lies in a file only we can read."""
    secrets = directory / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "adjudicate_kafka__sasl_password").write_text(password)
    policies = directory / "policies"
    policies.mkdir()
    (policies / "acme.yaml").write_text("client: acme\nversion: '1'\nsuitability: medium\n")
    settings = secure.kafka_settings
    return os.environ | {
        "ADJUDICATE_INSTANCE": "secure",
        "ADJUDICATE_SECRETS_DIR": str(secrets),
        "ADJUDICATE_POLICIES": str(policies),
        "ADJUDICATE_KAFKA__BOOTSTRAP_SERVERS": settings["bootstrap.servers"],
        "ADJUDICATE_KAFKA__SECURITY_PROTOCOL": settings["security.protocol"],
        "ADJUDICATE_KAFKA__SASL_MECHANISM": settings["sasl.mechanism"],
        "ADJUDICATE_KAFKA__SASL_USERNAME": settings["sasl.username"],
        "ADJUDICATE_KAFKA__SSL_CA": settings["ssl.ca.location"],
        "ADJUDICATE_KAFKA__REQUEST_TIMEOUT_S": "5",
        "ADJUDICATE_TRITON__URL": secure.triton_grpc,
        "ADJUDICATE_TRITON__TLS_CA": str(certificates.authority),
        "ADJUDICATE_TRITON__TLS_CERTIFICATE": str(certificates.client),
        "ADJUDICATE_TRITON__TLS_KEY": str(certificates.client_key),
        "ADJUDICATE_IMAGES__DECODE_WORKERS": "1",
        "ADJUDICATE_LOG_LEVEL": "debug",
    }


def kafka_of(secure: Sandbox) -> KafkaSettings:
    settings = secure.kafka_settings
    return KafkaSettings.model_validate(
        {
            "bootstrap_servers": settings["bootstrap.servers"],
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN",
            "sasl_username": settings["sasl.username"],
            "sasl_password": settings["sasl.password"],
            "ssl_ca": settings["ssl.ca.location"],
        }
    )


def test_events_are_decided_over_tls_and_leave_no_secret_anywhere(
    secure: Sandbox, certificates: Certificates, tmp_path: Path
) -> None:
    password = secure.kafka_settings["sasl.password"]
    variables = environment(secure, certificates, tmp_path, password)
    kafka, topics = kafka_of(secure), Settings(kafka=kafka_of(secure)).topics
    create_topics(kafka, topics.every(), partitions=2)
    log = tmp_path / "workers.log"
    with log.open("wb") as output:
        workers = [
            subprocess.Popen([*ADJUDICATE, name], env=variables, stdout=output, stderr=output)
            for name in ("score", "decide")
        ]
        try:
            events = iter(Events(Settings(kafka=kafka), "tls-"))
            produce_all(kafka, [next(events) for _ in range(300)])
            read = Topics([topics.creatives, topics.pages], [topics.allow, topics.review, topics.block], topics.rejects)
            clients = clients_by_policies(load_policies(tmp_path / "policies"))
            history, findings = examine(kafka, read, clients, wait_s=120)
        finally:
            for worker in workers:
                worker.terminate()
            codes = [worker.wait(15) for worker in workers]
    assert findings.are_none, log.read_text()
    assert history.decided.total() > 200
    assert codes == [0, 0]
    assert password not in log.read_text()
    assert ADMIN not in log.read_text()
    written = [r for r in read_committed(kafka, [topics.scores, topics.allow, topics.review, topics.block]) if r]
    assert len(written) > 400
    for private in (b"token=secret", b"uid-4711", b"203.0.113.9", b"uid=", b"reader:pass"):
        assert not [record for record in written if private in (record.value or b"")], private


def test_a_wrong_password_is_named(secure: Sandbox, certificates: Certificates, tmp_path: Path) -> None:
    variables = environment(secure, certificates, tmp_path, "a-wrong-guess")
    ended = subprocess.run(
        [*ADJUDICATE, "decide"], env=variables, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"adjudicate: the brokers at {secure.bootstrap_servers} do not let us in")
    assert "kafka.sasl_" in last
    assert "a-wrong-guess" not in ended.stderr


@pytest.mark.parametrize(
    "right",
    [
        (ResourceType.GROUP, "denied-group-decide", AclOperation.READ),
        (ResourceType.TRANSACTIONAL_ID, "denied-id-decide-secure", AclOperation.WRITE),
        (ResourceType.TOPIC, "denied-topic", AclOperation.WRITE),
    ],
    ids=["group", "id", "topic"],
)
def test_a_right_that_is_missing_is_named(
    secure: Sandbox,
    certificates: Certificates,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    right: tuple[ResourceType, str, AclOperation],
) -> None:
    variables = environment(secure, certificates, tmp_path, secure.kafka_settings["sasl.password"]) | {
        "ADJUDICATE_APPLICATION": f"denied-{request.node.callspec.id}",
        "ADJUDICATE_TOPICS__REVIEW": "denied-topic",
        "ADJUDICATE_TOPICS__SCORES": f"scores-{request.node.callspec.id}",
    }
    kafka = kafka_of(secure)
    topics = Settings(kafka=kafka).topics
    scores = variables["ADJUDICATE_TOPICS__SCORES"]
    create_topics(kafka, [*topics.every(), "denied-topic", scores], partitions=2)
    _deny(kafka, *right)
    unseen = ScoredEvent.model_validate(
        {"event_id": "e1", "surface": "page", "clients": ["acme"], "status": "TIMEOUT", "evidence": [],
         "scored_at": "2026-01-01T00:00:00Z"}
    )  # fmt: skip
    produce_all(kafka, [Output(scores, b"e1", unseen.model_dump_json().encode())])
    ended = subprocess.run(
        [*ADJUDICATE, "decide"], env=variables, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == 2, ended.stderr[-3000:]
    assert ended.stderr.splitlines()[-1].startswith("adjudicate: the brokers do not allow it")


def _deny(kafka: KafkaSettings, what: ResourceType, name: str, operation: AclOperation) -> None:
    user = f"User:{kafka.sasl_username}"
    rule = AclBinding(what, name, ResourcePatternType.LITERAL, user, "*", operation, AclPermissionType.DENY)
    admin = AdminClient(client_config(kafka))
    for future in admin.create_acls([rule]).values():
        future.result(timeout=30)


def test_triton_serves_only_who_has_a_certificate(secure: Sandbox, certificates: Certificates) -> None:
    trusted = TritonAddress(
        secure.triton_grpc, ca=certificates.authority, certificate=certificates.client, key=certificates.client_key
    )
    classifier = TritonClassifier(trusted)
    images = np.full((1, 224, 224, 3), 255, np.uint8)
    assert classifier.submit(images, 20).result().values.tolist() == [[1.0, 1.0, 1.0]]
    classifier.close()
    for stranger in (TritonAddress(secure.triton_grpc), TritonAddress(secure.triton_grpc, ca=certificates.authority)):
        classifier = TritonClassifier(stranger)
        with pytest.raises(ModelUnavailable):
            classifier.spec()
        classifier.close()


def test_tritons_controls_are_for_operators(secure: Sandbox, certificates: Certificates) -> None:
    with triton_grpc.InferenceServerClient(
        secure.triton_grpc,
        ssl=True,
        root_certificates=str(certificates.authority),
        private_key=str(certificates.client_key),
        certificate_chain=str(certificates.client),
    ) as client:
        with pytest.raises(InferenceServerException, match="restricted"):
            client.get_model_repository_index(client_timeout=10)
        assert client.get_model_repository_index(headers={"triton-grpc-protocol-admin": ADMIN}, client_timeout=10)
