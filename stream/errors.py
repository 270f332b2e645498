"""Errors of moving events: the brokers, and the local stack.

AdjudicateError               the root, in `moderation.errors`
├── BrokerError               Kafka cannot take or give records
│   ├── TransactionAborted    this transaction is gone, the producer still works: seek back and continue
│   └── ProducerLost          the producer is fenced, fatal or in doubt: discard it
├── PositionLost              the position cannot be established: a person must set it
└── SandboxError              a part of the local stack cannot be installed or started
"""

from moderation.errors import AdjudicateError


class BrokerError(AdjudicateError):
    """Kafka cannot take or give records."""


class TransactionAborted(BrokerError):
    """The transaction is gone but its producer still works: seek back to the committed offsets."""


class ProducerLost(BrokerError):
    """The producer is fenced, failed for good, or in doubt after a timeout: make a new one."""

    def __init__(self, message: str, *, fenced: bool = False) -> None:
        super().__init__(message)
        self.fenced = fenced


class PositionLost(AdjudicateError):
    """A group's position in a partition cannot be established, and another try will not help."""


class SandboxError(AdjudicateError):
    """A part of the local stack cannot be installed or started."""
