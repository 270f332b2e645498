"""Settings of the workers: frozen, read once, passed down. The only reader of the environment.

Sources, first wins: environment (`ADJUDICATE_KAFKA__BOOTSTRAP_SERVERS=…`), secret files
(`ADJUDICATE_SECRETS_DIR`), the settings file (`--settings FILE`, YAML), the defaults here.
"""

import os
import socket
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from moderation.errors import ConfigurationError
from moderation.labels import LabelCatalogue, read_catalogue, shipped_catalogue
from stream.networks import Network, why_never_allowed
from stream.setting_mistakes import PREFIX, explain, find_unknown

Seconds = Annotated[float, Field(gt=0)]
OTHER_VARIABLES: Final = ("ADJUDICATE_SECRETS_DIR", "ADJUDICATE_SANDBOX_CACHE")
"""Variables of the project that are not settings."""
_LAST_PORT: Final = 65535


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    bootstrap_servers: str = Field("127.0.0.1:9092", description="Comma-separated host:port of the brokers.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Protocol of the connection: with or without TLS (SSL) and a password (SASL)."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="Mechanism of the password check. Needed with SASL_PLAINTEXT and SASL_SSL."
    )
    sasl_username: str | None = Field(None, description="User name for SASL.")
    sasl_password: SecretStr | None = Field(
        None, description="Password for SASL. It is never logged. Prefer a secret file."
    )
    ssl_ca: FilePath | None = Field(
        None, description="PEM file of the authorities that sign the brokers' certificates."
    )
    ssl_certificate: FilePath | None = Field(None, description="PEM file of the client certificate (mTLS).")
    ssl_key: FilePath | None = Field(None, description="PEM file of the client key (mTLS).")
    ssl_key_password: SecretStr | None = Field(
        None, description="Password of the client key. It is never logged. Prefer a secret file."
    )
    session_timeout_s: Seconds = Field(
        10, description="The group gives a silent worker's partitions to others after this time."
    )
    max_poll_interval_s: Seconds = Field(
        60, description="Longest time between two polls of a worker. At least session_timeout_s."
    )
    transaction_timeout_s: Seconds = Field(
        15, ge=1, description="The broker aborts a transaction that is open for longer."
    )
    request_timeout_s: Seconds = Field(5, description="Longest time of one transaction call.")

    @model_validator(mode="after")
    def _polls_within_its_session(self) -> Self:
        if self.max_poll_interval_s < self.session_timeout_s:
            raise ValueError("max_poll_interval_s is shorter than session_timeout_s; make it at least as long")
        return self

    @model_validator(mode="after")
    def _has_what_its_protocol_needs(self) -> Self:
        given = {"sasl_mechanism": self.sasl_mechanism, "sasl_username": self.sasl_username,
                 "sasl_password": self.sasl_password}  # fmt: skip
        lacking = [f"kafka.{name}" for name, value in given.items() if not value]
        if self.security_protocol.startswith("SASL_") and lacking:
            raise ValueError(f"security_protocol {self.security_protocol} needs {' and '.join(lacking)}; set it")
        return self


class TopicSettings(Section):
    creatives: str = Field("creatives", description="Input: image events of ads.")
    pages: str = Field("pages", description="Input: image events of publishers' pages.")
    scores: str = Field("scores", description="Scored events: output of `score`, input of `decide`.")
    allow: str = Field("decisions.allow", description="Output: decisions that allow.")
    review: str = Field("decisions.review", description="Output: decisions that send the image to a person.")
    block: str = Field("decisions.block", description="Output: decisions that block.")
    shadow: str = Field("decisions.shadow", description="Output: decisions of shadow policies; do not act on them.")
    rejects: str = Field(
        "rejects", description="Output: records that could not be parsed or were refused, with the reason."
    )
    policy_events: str = Field("policy-events", description="Output: policy changes, refused files and repairs.")

    def every(self) -> tuple[str, ...]:
        return tuple(getattr(self, name) for name in type(self).model_fields)


class WorkerSettings(Section):
    batch: int = Field(64, ge=1, le=10_000, description="Largest number of records in one batch.")
    linger_s: Annotated[float, Field(ge=0)] = Field(0.005, description="Longest wait for a batch to fill.")
    in_flight: int = Field(4, ge=1, le=64, description="Number of batches in work at a time.")
    commit_interval_s: Annotated[float, Field(ge=0)] = Field(
        0.1,
        description="Longest time that batches share one transaction. An idle worker commits at once.",
    )
    stop_within_s: Seconds = Field(
        8, description="After SIGTERM a worker finishes its work in flight within this time, else it aborts."
    )
    leave_on_stop: bool = Field(
        False,
        description="Whether SIGTERM makes a worker leave its consumer group, as SIGUSR1 does. For scaling down only.",
    )
    stall_after_s: Seconds = Field(120, description="Work without progress for this time ends the process (exit 4).")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port of the Prometheus metrics, 1 to 65535. Without it there are none."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the metrics' port.")


def check_address(url: str) -> str:
    """`host:port`, as gRPC takes it. Raises ValueError."""
    scheme, separator, address = url.rpartition("://")
    if separator:
        raise ValueError(f"has the scheme {scheme}://; write {address.rstrip('/')} (set triton.tls_ca for TLS)")
    _, _, port = url.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise ValueError("ends in no port from 1 to 65535; write host:port, e.g. 127.0.0.1:8001")
    return url


class TritonSettings(Section):
    url: str = Field("127.0.0.1:8001", description="host:port of Triton's gRPC endpoint, without a scheme.")
    model: str = Field("brand_safety", description="Name of the model in Triton's repository.")
    version: str = Field("", description="Pinned version. Empty means the newest that the server has.")
    timeout_s: Seconds = Field(10, description="Deadline of one inference request.")
    max_batch: int = Field(
        16, ge=1, description="Largest number of views in one request. The server batches requests together."
    )
    patience_s: Seconds = Field(
        300, description="Events wait this time for an absent model. Then their status is MODEL_UNAVAILABLE."
    )
    tls_ca: FilePath | None = Field(
        None, description="PEM file of the authorities that sign the server's certificate. It switches TLS on."
    )
    tls_certificate: FilePath | None = Field(None, description="PEM file of the client certificate (mTLS).")
    tls_key: FilePath | None = Field(None, description="PEM file of the client key (mTLS).")

    @field_validator("url")
    @classmethod
    def _is_host_and_port(cls, url: str) -> str:
        return check_address(url)


class RedisSettings(Section):
    url: SecretStr | None = Field(None, description="redis://… or rediss://…. Without it, only the process caches.")
    timeout_s: Seconds = Field(0.05, description="Longest wait for Redis. A slower answer is a miss.")
    ttl_s: int = Field(7 * 24 * 3600, ge=1, description="Seconds that Redis keeps the evidence on an image.")

    @field_validator("url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("begins with redis://, rediss:// or unix://")
        return url


class CacheSettings(Section):
    entries: int = Field(
        100_000, ge=0, description="Entries of evidence kept in the process. 0 switches the cache off."
    )


class ImageSettings(Section):
    max_bytes: int = Field(
        10 * 1024 * 1024, ge=1, description="Largest size of one encoded image. Larger ones are TOO_LARGE."
    )
    max_pixels: int = Field(
        100_000_000, ge=1, description="Largest canvas, checked before decoding. Half of it for WebP and AVIF."
    )
    max_total_pixels: int = Field(100_000_000, ge=1, description="Largest sum of pixels over all frames.")
    max_frames: int = Field(1_000, ge=1, description="Largest number of frames of an animation. All are decoded.")
    decode_workers: int = Field(0, ge=0, description="Number of decoder processes. 0 means one per core.")
    decode_timeout_s: Seconds = Field(5, description="Longest time for one image. A slower decoder is ended.")
    decode_memory_bytes: int = Field(
        1024 * 1024 * 1024, ge=64 * 1024 * 1024, description="Memory that one decoder process may add."
    )
    root: Path | None = Field(
        None, description="Folder below which events may name files. Without it they may name none."
    )
    poison_list: Path | None = Field(
        None,
        description="File that remembers images that killed their decoder. Without it, Redis remembers them.",
    )


class FetchSettings(Section):
    enabled: bool = Field(
        False, description="Whether images are fetched by URL. Otherwise such events get FETCH_FORBIDDEN."
    )
    schemes: tuple[Literal["http", "https"], ...] = Field(("https",), description="Allowed URL schemes.")
    ports: tuple[int, ...] = Field((443,), description="Allowed ports.")
    timeout_s: Seconds = Field(2, description="Longest time for one image, redirects included.")
    max_redirects: int = Field(3, ge=0, description="Largest number of redirects for one image. Each is checked anew.")
    allow_networks: tuple[Network, ...] = Field(
        (),
        description="CIDR networks that are open although they are not public, e.g. an internal CDN's.",
    )

    @field_validator("allow_networks")
    @classmethod
    def _are_networks_of_servers(cls, networks: tuple[Network, ...]) -> object:
        for network in networks:
            if why := why_never_allowed(network):
                raise ValueError(f"{network} cannot be allowed: {why}")
        return networks


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    application: str = Field(
        "adjudicate",
        description="Prefix of every consumer group and transactional id. Two deployments on one Kafka need two.",
    )
    instance: str = Field(
        default_factory=socket.gethostname,
        description="Name of this worker. It is stable over restarts and unique among the workers of a stage.",
    )
    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    worker: WorkerSettings = WorkerSettings()
    triton: TritonSettings = TritonSettings()
    redis: RedisSettings = RedisSettings()
    cache: CacheSettings = CacheSettings()
    images: ImageSettings = ImageSettings()
    fetch: FetchSettings = FetchSettings()
    policies: Path = Field(Path("policies"), description="Folder of the policy files.")
    catalogue: Path | None = Field(None, description="Label catalogue (YAML). Without it, the shipped one counts.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest severity in the log.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The file is passed as init values, and the environment must win over it.
        del dotenv_settings
        secrets = NestedSecretsSettingsSource(
            file_secret_settings, secrets_dir_missing="error", secrets_nested_delimiter="__"
        )
        return env_settings, secrets, init_settings

    def labels(self) -> LabelCatalogue:
        """The configured label catalogue, else the shipped one. Raises CatalogueMistakes."""
        return read_catalogue(self.catalogue) if self.catalogue else shipped_catalogue()


def read_settings(file: Path | None = None) -> Settings:
    """The settings from every source. Raises ConfigurationError, which names every wrong key at once."""
    secrets = os.environ.get("ADJUDICATE_SECRETS_DIR")
    _refuse_unknown({**os.environ, **_secret_files(secrets)})
    try:
        return Settings(_secrets_dir=secrets, **_from_file(file))
    except ValidationError as error:
        where = f"settings ({file} and environment)" if file else "settings (environment)"
        raise ConfigurationError(explain(error, Settings, where)) from error
    except SettingsError as error:
        raise ConfigurationError(f"settings: {error}; lists are written as JSON, e.g. [80, 443]") from error


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"settings file {file}: {error.strerror}; give a readable file") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"settings file {file} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"settings file {file}: expected a mapping of sections, e.g. `kafka:`")
    return content


def _secret_files(folder: str | None) -> dict[str, str]:
    if folder is None or not Path(folder).is_dir():
        return {}
    return {path.name: "" for path in Path(folder).iterdir() if path.is_file()}


def _refuse_unknown(given: dict[str, str]) -> None:
    """Refuse a misspelt variable: it would silently leave a default in force."""
    if unknown := find_unknown(Settings, given, OTHER_VARIABLES):
        raise ConfigurationError("\n  ".join(["environment: " + unknown[0], *unknown[1:]]))
