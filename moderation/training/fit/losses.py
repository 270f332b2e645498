# mypy: disable-error-code="misc, unused-ignore, no-any-return"
"""One loss for every kind of label, blind to what is unknown."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from moderation.training.data.label_schema import Schema


class MultiLabelLoss(nn.Module):
    """Binary cross-entropy per label, softmax cross-entropy per exclusive group, averaged over known cells.

    Positives weigh √(negatives/positives): enough that a rare label is learnt, not so much that its scores
    drown. Ordinal and scalar labels have soft targets in 0..1 and no such weight, and nothing has when not
    `balanced`: a teacher's answers already lean so.
    """

    def __init__(
        self, schema: Schema, targets: NDArray[np.float32], smoothing: float = 0.0, balanced: bool = True
    ) -> None:
        super().__init__()
        self._smoothing = smoothing
        self._groups = [torch.tensor(members) for members in schema.groups().values()]
        single = [place for place, label in enumerate(schema.labels) if not label.group]
        self._single = torch.tensor(single, dtype=torch.long)
        weights = _positive_weights(schema, targets) if balanced else np.ones(len(schema.labels), np.float32)
        self._weight = torch.from_numpy(weights[single])

    def forward(self, logits: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """`logits [B,L]`, `targets [B,L]` (NaN unknown), `weight [B]` → a scalar."""
        total, count = self._independent(logits, targets, weight)
        for members in self._groups:
            more, known = _exclusive(logits[:, members], targets[:, members], weight)
            total, count = total + more, count + known
        return total / count.clamp(min=1)

    def _independent(self, logits: Tensor, targets: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        logits, targets = logits[:, self._single], targets[:, self._single]
        known = ~torch.isnan(targets)
        soft = torch.nan_to_num(targets) * (1 - 2 * self._smoothing) + self._smoothing
        cells = functional.binary_cross_entropy_with_logits(logits, soft, reduction="none", pos_weight=self._weight)
        return (cells * known * weight[:, None]).sum(), known.sum()


def leaning(schema: Schema, targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """What weighing positives adds to each label's logits, `[L]`: the log of their weight (King and Zeng 2001)."""
    return np.log(_positive_weights(schema, targets))


def _exclusive(logits: Tensor, targets: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that name their one label, or give shares of all; the others give no information on the group."""
    shares = torch.nan_to_num(targets)
    total = shares.sum(dim=1, keepdim=True)
    known = total[:, 0] > 0
    cells = functional.cross_entropy(logits, shares / total.clamp(min=1e-6), reduction="none")
    return (cells * known * weight).sum(), known.sum()


def _positive_weights(schema: Schema, targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[L]`: 1 for columns that are not independent yes-or-no labels."""
    binary = [not label.group and label.kind == "binary" for label in schema.labels]
    ones = np.maximum((targets == 1).sum(axis=0), 1)
    zeros = np.maximum((targets == 0).sum(axis=0), 1)
    return np.where(binary, np.sqrt(zeros / ones), 1.0).astype(np.float32)
