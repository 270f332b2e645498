"""The errors of `moderation` that a caller may catch; `stream.errors` has those of `stream`.

AdjudicateError
├── ConfigurationError        a setting, file or argument is wrong: nothing was started
│   └── PolicyError           one or more policy files are wrong (carries every mistake)
├── EventError                an event cannot be parsed: becomes a reject
├── ImageError                an image cannot be judged: becomes a status on its scored event
└── ModelError                the model server cannot answer
    ├── ModelUnavailable      it is away or not ready: wait and try again
    │   └── ModelUnreadable   its answer cannot be read: it is broken or being swapped, so the same
    ├── ModelOverloaded       it refused for load or exceeded the deadline: wait and try again
    └── ModelRejected         it answered that the request is wrong: trying again will not help
"""

from moderation.events import Status


class AdjudicateError(Exception):
    """Root of the tree. `str()` gives a user the problem and the remedy."""

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
    """An image that cannot be judged. `status` is the status of its scored event."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(f"{status.value}: {detail}")
        self.status = status
        self.detail = detail


class ModelError(AdjudicateError):
    """The model server cannot answer."""


class ModelUnavailable(ModelError):
    """The model server is away or the model is not ready."""


class ModelUnreadable(ModelUnavailable):
    """The model server's answer is not what its model publishes. Another try reads them again."""


class ModelOverloaded(ModelError):
    """The model server refused for load, or exceeded the deadline."""


class ModelRejected(ModelError):
    """The model server says that the request is wrong."""
