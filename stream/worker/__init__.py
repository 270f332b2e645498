"""The worker: records in, a stage's answers out, both in one transaction with the offsets.

`loop` reads and hands over, `batches` are with the stage, `transaction` writes and commits, `producers` makes
producers, `refusals` tracks records that the brokers do not take, `stopping` is the request to stop.
"""

from stream.worker.loop import Worker
from stream.worker.stage import Outputs, Stage

__all__ = ["Outputs", "Stage", "Worker"]
