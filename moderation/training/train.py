# mypy: disable-error-code="no-any-return, unused-ignore"
"""Linear heads on frozen features first, then the whole network gently: what was learnt on millions of
images is worth more on unseen sources than what a few thousand can teach (Kumar et al. 2022, LP-FT).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from moderation.training.backbone import WIDTH, Backbone, load
from moderation.training.checkpoint import stages_of
from moderation.training.losses import MultiLabelLoss
from moderation.training.pixels import Progress, silent
from moderation.training.recipe import Recipe
from moderation.training.served import outputs, session
from moderation.training.tower import features_only
from moderation.training.views import TrainingSet


@dataclass(slots=True)
class Network:
    """A backbone with one logit per label."""

    backbone: Backbone
    head: nn.Linear

    def embed(self, images: NDArray[np.uint8], progress: Progress = silent) -> NDArray[np.float32]:
        """`[N,S,S,3] uint8` → pooled features `[N,1280]`, by the runtime that will serve them."""
        graph = features_only(stages_of(self.backbone), self.backbone.image_size)
        return outputs(session(graph), ("features",), images, progress)[0]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """`[N,1280]` → `[N,L]`."""
        with torch.inference_mode():
            return self.head(torch.from_numpy(features)).numpy()


def pretrained(recipe: Recipe) -> Network:
    """The backbone as published, with heads that know nothing yet."""
    torch.manual_seed(recipe.seed)
    backbone = load(recipe.backbone, recipe.size, recipe.cut)
    return Network(backbone, nn.Linear(WIDTH, len(recipe.data.labels)))


def fit_heads(recipe: Recipe, training: TrainingSet, features: NDArray[np.float32]) -> nn.Linear:
    """The heads that minimise the loss with an L2 penalty on standardised features: convex, no seed."""
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-2
    x = torch.from_numpy((features - mean) / deviation)
    y, weight = torch.from_numpy(training.targets), torch.from_numpy(training.weight)
    loss = MultiLabelLoss(recipe.data, training.targets)
    head = nn.Linear(x.shape[1], y.shape[1])
    nn.init.zeros_(head.weight)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=80, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(head(x), y, weight) + recipe.fit.penalty * (head.weight**2).sum()
        value.backward()
        return value

    optimizer.step(closure)
    return _on_raw_features(head, mean, deviation)


def _on_raw_features(head: nn.Linear, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> nn.Linear:
    with torch.no_grad():
        head.weight /= torch.from_numpy(deviation)
        head.bias -= head.weight @ torch.from_numpy(mean)
    return head


def fine_tune(network: Network, recipe: Recipe, training: TrainingSet, progress: Progress = silent) -> None:
    """Move every weight above the cut a little; the seed fixes the batches."""
    if not recipe.fit.steps:
        return
    fit, backbone = recipe.fit, network.backbone.to(memory_format=torch.channels_last)
    loss = MultiLabelLoss(recipe.data, training.targets, fit.smoothing)
    moved = [*backbone.tail.parameters(), *(backbone.stem.parameters() if recipe.cut == 0 else ())]
    groups = [{"params": moved, "lr": fit.rate}, {"params": network.head.parameters(), "lr": fit.head_rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=fit.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [fit.rate, fit.head_rate], fit.steps, pct_start=0.2)
    for step, rows in zip(range(fit.steps), _batches(recipe, training), strict=False):
        features = _features(backbone, training.pixels[rows], recipe.cut)
        logits = network.head(functional.dropout(features, fit.dropout))
        targets, weight = torch.from_numpy(training.targets[rows]), torch.from_numpy(training.weight[rows])
        optimizer.zero_grad()
        loss(logits, targets, weight).backward()
        nn.utils.clip_grad_norm_(moved, 1.0)
        optimizer.step()
        schedule.step()
        progress("fine-tune", step + 1, fit.steps)


def _features(backbone: Backbone, pixels: NDArray[np.uint8], cut: int) -> Tensor:
    image = torch.from_numpy(np.ascontiguousarray(pixels))
    if cut == 0:
        return backbone(image)
    with torch.no_grad():
        activations = backbone.activations(image)
    return backbone.pooled(activations)


def _batches(recipe: Recipe, training: TrainingSet) -> Iterator[NDArray[np.intp]]:
    """Endless batches in which positives of every label, and rows without any, are equally likely."""
    rng = np.random.default_rng(recipe.seed)
    pools = [np.flatnonzero(column > 0.5) for column in training.targets.T]  # noqa: PLR2004 - half
    pools.append(np.flatnonzero(~(training.targets > 0.5).any(axis=1)))  # noqa: PLR2004 - half
    pools = [pool for pool in pools if len(pool)]
    share = np.sqrt([len(pool) for pool in pools])
    while True:
        chosen = rng.choice(len(pools), recipe.fit.batch, p=share / share.sum())
        yield np.array([rng.choice(pools[pool]) for pool in chosen], np.intp)
