"""Every error of the project that a caller may want to catch.

AdjudicateError
├── ConfigurationError        a setting, file or argument is wrong: nothing was started
│   └── PolicyError           one or more policy files are wrong (carries every mistake)
├── EventError                an event cannot be parsed: becomes a reject
├── ImageError                an image cannot be judged: becomes a status on its scored event
├── ModelError                the model server cannot answer
│   ├── ModelUnavailable      it is away or not ready: wait and try again
│   │   └── ModelUnreadable   its answer cannot be read: it is broken or being swapped, so the same
│   ├── ModelOverloaded       it refused for load or exceeded the deadline: wait and try again
│   └── ModelRejected         it answered that the request is wrong: trying again will not help
├── PositionLost              where to read on cannot be known: a person must say it
├── BrokerError               Kafka cannot take or give records
│   ├── TransactionAborted    this transaction is gone, the producer lives: seek back and go on
│   └── ProducerLost          the producer is fenced, fatal or in doubt: discard it
└── SandboxError              a part of the local stack cannot be installed or started
"""

from moderation.events import Status


class AdjudicateError(Exception):
    """Root of the tree. `str()` says to a user what is wrong and what to do."""

    def explained(self) -> str:
        """The same with all there is to show, for a terminal."""
        return str(self)


class ConfigurationError(AdjudicateError):
    """A setting, file or argument is wrong; nothing was started."""


class PolicyError(ConfigurationError):
    """One or more policy files are wrong."""


class EventError(AdjudicateError):
    """An event that cannot be parsed. `reason` is a stable snake_case word for the reject."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ImageError(AdjudicateError):
    """An image that cannot be judged. `status` is what its scored event will say."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(f"{status.value}: {detail}")
        self.status = status
        self.detail = detail


class ModelError(AdjudicateError):
    """The model server cannot answer."""


class ModelUnavailable(ModelError):
    """The model server is away or the model is not ready."""


class ModelUnreadable(ModelUnavailable):
    """The model server's answer is not what its model publishes. Another try reads the model's own words anew."""


class ModelOverloaded(ModelError):
    """The model server refused for load, or exceeded the deadline."""


class ModelRejected(ModelError):
    """The model server says that the request is wrong."""


class BrokerError(AdjudicateError):
    """Kafka cannot take or give records."""


class PositionLost(AdjudicateError):
    """A group's position in a partition cannot be established, and another try will not help."""


class TransactionAborted(BrokerError):
    """The transaction is gone but its producer can go on: seek back to the committed offsets."""


class ProducerLost(BrokerError):
    """The producer is fenced, failed for good, or in doubt after a timeout: make a new one."""

    def __init__(self, message: str, *, fenced: bool = False) -> None:
        super().__init__(message)
        self.fenced = fenced


class SandboxError(AdjudicateError):
    """A part of the local stack cannot be installed or started."""
