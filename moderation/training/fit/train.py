# mypy: disable-error-code="no-any-return, unused-ignore"
"""Linear heads on frozen features first, then the network: what was learnt on millions of images is worth
more on unseen sources than what a few thousand can teach (Kumar et al. 2022, LP-FT).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from moderation.training.data.pixels import Progress, silent
from moderation.training.data.training_set import TrainingSet
from moderation.training.fit.backbone import WIDTH, Backbone, begin_with, load
from moderation.training.fit.checkpoint import earlier, stages_of
from moderation.training.fit.lesson import Lesson
from moderation.training.fit.losses import MultiLabelLoss
from moderation.training.graph.quantize import measured_and_applied
from moderation.training.graph.served import by_chunk, outputs, session
from moderation.training.graph.tower import features_only, halfway
from moderation.training.recipe import Recipe


@dataclass(slots=True)
class Network:
    """A backbone with one logit per label."""

    backbone: Backbone
    head: nn.Linear

    def embed(self, images: NDArray[np.uint8], progress: Progress = silent) -> NDArray[np.float32]:
        """`[N,S,S,3] uint8` → pooled features `[N,1280]`, by the runtime that will serve them."""
        graph = features_only(stages_of(self.backbone), self.backbone.image_size)
        return outputs(session(graph), ("features",), images, progress)[0]

    def halfway(
        self, images: NDArray[np.uint8], recipe: Recipe, file: Path, progress: Progress = silent
    ) -> NDArray[np.float16]:
        """`[N,S,S,3] uint8` → what comes after the recipe's cut, `[N,C,h,w] float16`, in `file`, a new .npy.

        With `fit.int8` what lies below is int8 already, so that what lies above learns to live with it.
        """
        graph = halfway(stages_of(self.backbone), self.backbone.image_size, recipe.cut)
        if recipe.fit.int8:
            graph = measured_and_applied(graph, images, ("brand",))
        run = session(graph)
        shape = run.run(["activations"], {"image": np.ascontiguousarray(images[:1])})[0].shape[1:]
        out = np.lib.format.open_memmap(file, "w+", np.float16, (len(images), *shape))
        for rows, (activations,) in by_chunk(run, ("activations",), images, progress):
            out[rows] = activations
        return out

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """`[N,1280]` → `[N,L]`."""
        with torch.inference_mode():
            return self.head(torch.from_numpy(features)).numpy()


def pretrained(recipe: Recipe) -> Network:
    """The backbone as published, or as an earlier version left it, with heads that know nothing yet."""
    torch.manual_seed(recipe.seed)
    backbone = load(recipe.backbone, recipe.size, recipe.cut)
    if recipe.start:
        begin_with(backbone, earlier(recipe.start.graph).convolutions)
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


def keep_earlier_heads(network: Network, recipe: Recipe) -> None:
    """Mix the earlier version's heads into those of labels that both have, by `start.heads`.

    Both read the same features. New heads know new sources, the earlier ones what their teachers knew.
    """
    if not recipe.start or not recipe.start.heads:
        return
    before, share = earlier(recipe.start.graph), recipe.start.heads
    with torch.no_grad():
        for place, name in enumerate(recipe.data.names()):
            if name in before.labels:
                old = before.labels.index(name)
                network.head.weight[place].lerp_(torch.from_numpy(before.weight[old].copy()), share)
                network.head.bias[place].lerp_(torch.tensor(before.bias[old]), share)


def fine_tune(
    network: Network,
    recipe: Recipe,
    lesson: Lesson,
    weight: NDArray[np.float32],
    inputs: NDArray[Any],
    progress: Progress = silent,
) -> None:
    """Move every weight above the cut until the network says what the lesson says; the seed fixes the order.

    `inputs`: pixels `[M,S,S,3] uint8`, or with a cut what `activations` gave, `[M,C,h,w]`. `weight [M]`.
    """
    fit, backbone = recipe.fit, network.backbone.to(memory_format=torch.channels_last)
    steps = round(fit.epochs * len(weight) / fit.batch)
    if not steps:
        return
    torch.manual_seed(recipe.seed)
    backbone.round_as_int8(fit.int8)
    echo = nn.Linear(WIDTH, lesson.features.shape[1]) if lesson.features.shape[1] else None
    loss = MultiLabelLoss(recipe.data, lesson.answers, fit.smoothing, balanced=echo is None)
    moved = [*backbone.tail.parameters(), *(backbone.stem.parameters() if recipe.cut == 0 else ())]
    heads = [*network.head.parameters(), *(echo.parameters() if echo else ())]
    groups = [{"params": moved, "lr": fit.rate}, {"params": heads, "lr": fit.head_rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=fit.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [fit.rate, fit.head_rate], steps, pct_start=0.15)
    for step, rows in zip(range(steps), _batches(len(weight), fit.batch, recipe.seed), strict=False):
        features = _forward(backbone, inputs[rows], recipe.cut)
        logits = network.head(functional.dropout(features, fit.dropout))
        value = loss(logits, torch.from_numpy(lesson.answers[rows]), torch.from_numpy(weight[rows]))
        if echo:
            missed = functional.mse_loss(echo(features), torch.from_numpy(lesson.features[rows]))
            value = value + fit.features * missed
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(moved, 2.0)
        optimizer.step()
        schedule.step()
        progress("fine-tune", step + 1, steps)
    backbone.round_as_int8(False)


def _forward(backbone: Backbone, inputs: NDArray[Any], cut: int) -> Tensor:
    if cut == 0:
        return backbone(torch.from_numpy(np.ascontiguousarray(inputs)))
    below = torch.from_numpy(inputs.astype(np.float32))
    return backbone.pooled(below.contiguous(memory_format=torch.channels_last))


def _batches(count: int, batch: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Endless: every row once, in another order each time; sorted, as a file likes to be read."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(count)
        for start in range(0, max(count - batch, 0) + 1, batch):
            yield np.sort(order[start : start + batch])
