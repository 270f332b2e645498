"""From decoded images to the training set: views of photographs, and drawn creatives and pages."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moderation.training.data import augment, synthetic
from moderation.training.data.augment import Image, happens
from moderation.training.data.balance import balanced
from moderation.training.data.label_schema import holds
from moderation.training.data.phrases import OFFERS
from moderation.training.data.pixels import Decoded, Progress, silent
from moderation.training.data.typefaces import Typesetter
from moderation.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """M views.

    pixels:  `[M,S,S,3] uint8`.  targets: `[M,L] float32`, NaN unknown.  weight: `[M] float32`.
    source:  `[M] str`, where its photograph came from; `drawn` for what code drew.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]
    weight: NDArray[np.float32]
    source: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class _Job:
    """One view: how to draw it with a separate generator, and its truth."""

    draw: Callable[[np.random.Generator], Image]
    targets: NDArray[np.float32]
    weight: float
    source: str


class Studio:
    """Draws the views of one data set; the same recipe gives the same pixels."""

    def __init__(self, decoded: Decoded, recipe: Recipe) -> None:
        self._decoded = decoded
        self._recipe = recipe
        self._typesetter = Typesetter()
        self._train = np.flatnonzero(decoded.data.split == "train")
        targets = decoded.data.targets[self._train]
        self._safe = self._train[(targets == 0).all(axis=1)]
        """Images known to show none of the labels: the grounds that others are pasted on."""

    def draw(self, file: Path, progress: Progress = silent, threads: int = 2) -> TrainingSet:
        """Draw every view into `file`, a new .npy."""
        jobs = [*self._photographs(), *self._drawn()]
        size = self._recipe.side
        pixels = np.lib.format.open_memmap(file, "w+", np.uint8, (len(jobs), size, size, 3))

        def work(index: int) -> None:
            rng = np.random.default_rng((self._recipe.seed, index))
            pixels[index] = augment.resize(jobs[index].draw(rng), size)

        with ThreadPoolExecutor(threads) as pool:
            for done, _ in enumerate(pool.map(work, range(len(jobs))), 1):
                if done % 200 == 0 or done == len(jobs):
                    progress("draw", done, len(jobs))
        return TrainingSet(
            pixels,
            np.stack([job.targets for job in jobs]),
            np.array([job.weight for job in jobs], np.float32),
            np.array([job.source for job in jobs]),
        )

    def _photographs(self) -> Iterator[_Job]:
        data = self._decoded.data
        shares = balanced(data.source[self._train], self._recipe.balance)
        for row, share in zip(self._train.tolist(), shares.tolist(), strict=True):
            facts = {name: str(values[row]) for name, values in data.facts.items()}
            weight, count = self._weigh(facts)
            weight *= share
            truth, source = data.targets[row], str(data.source[row])
            yield _Job(partial(self._itself, row), truth, weight, source)
            for _ in range(count):
                yield _Job(partial(self._view, row), truth, weight, source)

    def _weigh(self, facts: dict[str, str]) -> tuple[float, int]:
        """Weight and number of views: the last rule that holds and sets one, sets it."""
        weight, count = 1.0, self._recipe.views.each
        for rule in self._recipe.rows:
            if holds(rule.where, facts):
                weight, count = rule.weight, count if rule.views is None else rule.views
        return weight, count

    def _itself(self, row: int, _: np.random.Generator) -> Image:
        return np.asarray(self._decoded.pixels[row])

    def _view(self, row: int, rng: np.random.Generator) -> Image:
        image, views = self._itself(row, rng), self._recipe.views
        if len(self._safe) and happens(rng, views.paste):
            return self._pasted(image, rng)
        image = augment.change(image, rng)
        if happens(rng, views.caption):
            image = augment.caption(image, str(rng.choice(OFFERS)), self._typesetter, rng)
        return image

    def _pasted(self, image: Image, rng: np.random.Generator) -> Image:
        image = augment.change(image, rng) if happens(rng, 0.5) else image
        ground = self._safe_photo(rng)
        if happens(rng, 0.4):
            ground = synthetic.page([ground], self._typesetter, rng)
        image = augment.paste(image, ground, rng)
        return augment.change(image, rng) if happens(rng, 0.3) else image

    def _safe_photo(self, rng: np.random.Generator) -> Image:
        return np.asarray(self._decoded.pixels[int(rng.choice(self._safe))])

    def _drawn(self) -> Iterator[_Job]:
        drawn = self._recipe.views.drawn
        if not len(self._safe):
            return
        names = self._recipe.data.names()
        none = np.zeros(len(names), np.float32)
        shown = np.array([_is_about(name, drawn.positive) for name in names], np.float32)
        for count, draw, truth in (
            (drawn.pages, self._page, none),
            (drawn.banners, self._banner, none),
            (drawn.placards if drawn.positive else 0, self._placards, shown),
        ):
            for _ in range(count):
                yield _Job(partial(self._printed, draw), truth, 1.0, "drawn")

    def _printed(self, draw: Callable[[np.random.Generator], Image], rng: np.random.Generator) -> Image:
        image = draw(rng)
        image = augment.recolour(image, rng) if happens(rng, 0.5) else image
        return augment.compress(image, rng) if happens(rng, 0.3) else image

    def _page(self, rng: np.random.Generator) -> Image:
        return synthetic.page([self._safe_photo(rng) for _ in range(3)], self._typesetter, rng)

    def _banner(self, rng: np.random.Generator) -> Image:
        return synthetic.banner(self._safe_photo(rng), self._typesetter, rng)

    def _placards(self, rng: np.random.Generator) -> Image:
        return synthetic.placards(self._safe_photo(rng), self._typesetter, rng)


def _is_about(name: str, positive: str) -> float:
    """1 for the label that placards show, 0 for the others, unknown for its own parts."""
    if name == positive:
        return 1.0
    return np.nan if name.startswith(f"{positive}.") else 0.0
