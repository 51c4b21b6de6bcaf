"""The thief: the data that he has, and what he draws."""

from __future__ import annotations

import dataclasses

import numpy as np

_VALIDATED = 90  # Examples that a choice should rest on, as far as folds go.


@dataclasses.dataclass(frozen=True, eq=False)
class Thief:
    """One thief's data; inputs and labels by his own seed.

    Args:
        share: of the training data that he has labels for.
        x, y: labelled, int classes or float numbers; several inputs in one row
            (``flatten_inputs``).
        pool: inputs without labels.
    """

    share: float
    seed: int
    x: np.ndarray = dataclasses.field(repr=False)
    y: np.ndarray = dataclasses.field(repr=False)
    pool: np.ndarray = dataclasses.field(repr=False)

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator that depends on the seed and the purpose alone."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def draw_folds(self, least: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Held-out thirds of his data, so many at least; more when each is small."""
        size = max(1, len(self.y) // 3)
        count = max(least, min(3, -(-_VALIDATED // size)))
        return [rng.permutation(len(self.y))[:size] for _ in range(count)]

    def examples_but(self, held_out: np.ndarray) -> np.ndarray:
        """Numbers of his labelled examples without those that are held out."""
        return np.setdiff1d(np.arange(len(self.y)), held_out)
