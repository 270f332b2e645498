"""Settings of the workers: frozen, read once, passed down. The only reader of the environment.

Sources, first wins: environment (`ADJUDICATE_KAFKA__BOOTSTRAP_SERVERS=…`), secret files
(`ADJUDICATE_SECRETS_DIR`), the settings file (`--settings FILE`, YAML), the defaults here.
"""

import os
import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self

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

Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    bootstrap_servers: str = Field("127.0.0.1:9092", description="Comma-separated host:port of the brokers.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = Field(None, description="Never logged; better from a secret file.")
    ssl_ca: FilePath | None = Field(None, description="PEM file of the authorities that sign the brokers.")
    ssl_certificate: FilePath | None = Field(None, description="PEM file of the client certificate (mTLS).")
    ssl_key: FilePath | None = Field(None, description="PEM file of the client key (mTLS).")
    ssl_key_password: SecretStr | None = None
    session_timeout_s: Seconds = Field(10, description="A silent worker's partitions move on after this.")
    max_poll_interval_s: Seconds = Field(60, description="No less than session_timeout_s.")
    transaction_timeout_s: Seconds = Field(15, ge=1, description="The broker aborts a transaction open for longer.")
    request_timeout_s: Seconds = Field(5, description="How long one transaction call may take.")

    @model_validator(mode="after")
    def _polls_within_its_session(self) -> Self:
        if self.max_poll_interval_s < self.session_timeout_s:
            raise ValueError("max_poll_interval_s is shorter than session_timeout_s; make it at least as long")
        return self


class TopicSettings(Section):
    creatives: str = "creatives"
    pages: str = "pages"
    scores: str = "scores"
    allow: str = "decisions.allow"
    review: str = "decisions.review"
    block: str = "decisions.block"
    shadow: str = Field("decisions.shadow", description="Decisions of shadow policies; nobody should act on them.")
    rejects: str = "rejects"
    policy_events: str = "policy-events"

    def every(self) -> tuple[str, ...]:
        return tuple(getattr(self, name) for name in type(self).model_fields)


class WorkerSettings(Section):
    batch: int = Field(64, ge=1, le=10_000, description="Most records in one batch.")
    linger_s: Annotated[float, Field(ge=0)] = Field(0.005, description="Longest wait for a batch to fill.")
    in_flight: int = Field(4, ge=1, le=64, description="Batches worked on at a time.")
    commit_interval_s: Annotated[float, Field(ge=0)] = Field(
        0.1,
        description="Several batches share one transaction for at most this long; an idle worker commits at once.",
    )
    stop_within_s: Seconds = Field(8, description="On SIGTERM: finish what is in flight for so long, else abort.")
    stall_after_s: Seconds = Field(120, description="Work but no progress for so long ends the process (exit 4).")
    metrics_port: int | None = Field(None, description="Serve Prometheus metrics on this port.")
    metrics_host: str = "127.0.0.1"


class TritonSettings(Section):
    url: str = Field("127.0.0.1:8001", description="host:port of Triton's gRPC endpoint.")
    model: str = "brand_safety"
    version: str = Field("", description="Pin a version; empty is what the server thinks newest.")
    timeout_s: Seconds = Field(10, description="Deadline of one inference request.")
    max_batch: int = Field(16, ge=1, description="Most views in one request; the server batches requests together.")
    patience_s: Seconds = Field(
        300, description="Events wait so long for an absent model, then their status is MODEL_UNAVAILABLE."
    )
    tls_ca: FilePath | None = Field(None, description="PEM file; set to speak TLS.")
    tls_certificate: FilePath | None = None
    tls_key: FilePath | None = None


class RedisSettings(Section):
    url: SecretStr | None = Field(None, description="redis://… or rediss://…; without it only the process caches.")
    timeout_s: Seconds = Field(0.05, description="A slower answer is a miss.")
    ttl_s: int = Field(7 * 24 * 3600, ge=1)

    @field_validator("url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("begins with redis://, rediss:// or unix://")
        return url


class CacheSettings(Section):
    entries: int = Field(100_000, ge=0, description="Scores kept in the process; 0 switches the cache off.")


class ImageSettings(Section):
    max_bytes: int = Field(10 * 1024 * 1024, ge=1)
    max_pixels: int = Field(25_000_000, ge=1, description="Of one canvas, checked before decoding.")
    max_total_pixels: int = Field(100_000_000, ge=1, description="Over all frames.")
    max_frames: int = Field(1_000, ge=1, description="Of an animation; all are decoded.")
    decode_workers: int = Field(0, ge=0, description="Decoder processes; 0 is one per core.")
    decode_timeout_s: Seconds = 5
    decode_memory_bytes: int = Field(1024 * 1024 * 1024, ge=64 * 1024 * 1024)
    root: Path | None = Field(None, description="Events may name files below this folder; without it none.")
    poison_list: Path | None = Field(
        None,
        description="File that remembers images that killed their decoder; without it Redis does, if there is one.",
    )


class FetchSettings(Section):
    enabled: bool = Field(False, description="Fetch images by URL; otherwise such events get FETCH_FORBIDDEN.")
    schemes: tuple[Literal["http", "https"], ...] = ("https",)
    ports: tuple[int, ...] = (443,)
    timeout_s: Seconds = Field(2, description="For the whole of one image, redirects included.")
    max_redirects: int = Field(3, ge=0)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="ADJUDICATE_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    application: str = Field(
        "adjudicate",
        description="Begins every consumer group and transactional id: two deployments on one Kafka need two.",
    )
    instance: str = Field(
        default_factory=socket.gethostname,
        description="Name of this worker, stable over restarts and unique among its kind.",
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
    catalogue: Path | None = Field(None, description="Label catalogue (YAML); without it the shipped one.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

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
        """The label catalogue that is named, else the shipped one. Raises CatalogueMistakes."""
        return read_catalogue(self.catalogue) if self.catalogue else shipped_catalogue()


def read_settings(file: Path | None = None) -> Settings:
    """The settings from every source.

    Raises ConfigurationError naming every wrong key at once.
    """
    secrets = os.environ.get("ADJUDICATE_SECRETS_DIR")
    try:
        return Settings(_secrets_dir=secrets, **_from_file(file))
    except ValidationError as error:
        raise ConfigurationError(_explain(error, file)) from error
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


def _explain(error: ValidationError, file: Path | None) -> str:
    where = f"settings ({file} and environment)" if file else "settings (environment)"
    lines = [f"{where}: {error.error_count()} wrong"]
    for mistake in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in mistake["loc"])
        variable = "ADJUDICATE_" + "__".join(str(part).upper() for part in mistake["loc"])
        lines.append(f"  {key} ({variable}): {mistake['msg']}")
    return "\n".join(lines)
