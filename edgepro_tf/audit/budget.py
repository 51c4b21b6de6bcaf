"""What an audit may spend."""

from __future__ import annotations

import dataclasses

import numpy as np

_DEEP = 16  # Layers; those of the README's table have ten at most.


@dataclasses.dataclass(frozen=True)
class Budget:
    """What an audit spends on each attack, and what it averages over.

    Args:
        name: ``quick`` or ``full``.
        epochs: of a training run over the thief's data,
        least_steps, most_steps: but no fewer and no more steps than these.
        batch: examples a step.
        rates: learning rates of every sweep, the highest last.
        folds: how many validation splits choose among candidates.
        sweeps: of a discrete search over all draws.
        search_rows: examples its loss is measured on, at most.
        search_work: multiplications it may cost.
        search_starts: how often it begins anew; the lowest loss is kept.
        sign_rounds: of flips guided by gradients, at most.
        redraws: fresh draws of signs that a thief tries.
        wrong_locks: drawn for the mean and the worst, over all seeds.
        shares: of the training data that the thief has.
        seeds: each draws the thief's data, his starts and his batches.
        test_examples: at most so many are used (``pick_test``).
        unlabelled: inputs without labels, at most.
        is_thorough: whether the slower attacks run.
        deep_rates: in the place of ``rates``, of a deep network. Measured on 53 layers
            with their batch normalisations folded: at 3e-3 no start from nothing
            learned anything, where the public file did, and a thief's advantage of 25
            points was none; at 1e-3 both learn.
    """

    name: str
    epochs: int
    least_steps: int
    most_steps: int
    batch: int
    rates: tuple[float, ...]
    folds: int
    sweeps: int
    search_rows: int
    search_work: float
    search_starts: int
    wrong_locks: int
    shares: tuple[float, ...] = (0.01, 0.05, 0.1)
    seeds: tuple[int, ...] = (0, 1, 2)
    test_examples: int = 4000
    unlabelled: int = 1000
    is_thorough: bool = True
    redraws: int = 32
    sign_rounds: int = 1000
    deep_rates: tuple[float, ...] = (1e-3, 3e-4, 3e-3)

    def steps(self, examples: int) -> int:
        """Steps of a training run over so many examples."""
        wanted = round(self.epochs * examples / self.batch)
        return min(max(wanted, self.least_steps), self.most_steps)

    def pick_test(self, examples: int) -> np.ndarray:
        """int [at most ``test_examples``]: numbers of test examples, in their order.

        All where there are no more; else always the same, from all over the set, which
        may be sorted by class.
        """
        if examples <= self.test_examples:
            return np.arange(examples)
        rng = np.random.default_rng(79)
        return np.sort(rng.choice(examples, self.test_examples, replace=False))

    def count_labels(self, share: float, examples: int, least: int) -> int:
        """Labels of a thief with this share."""
        return min(examples, max(least, round(share * examples)))

    def most_examples(self, examples: int, least: int) -> int:
        """Of any thief, with labels or without."""
        labels = [self.count_labels(share, examples, least) for share in self.shares]
        return max(*labels, self.unlabelled)

    def for_data(self, examples: int, least: int) -> Budget:
        """The same budget without shares that give no more labels than the next one.

        Of a hundred classes in 2,000 examples, 1 % and 5 % are a label for each class.
        """
        by_count = {
            self.count_labels(share, examples, least): share
            for share in sorted(self.shares)
        }
        return dataclasses.replace(self, shares=tuple(sorted(by_count.values())))

    def for_network(self, layers: int) -> Budget:
        """The same budget; for a deep network with ``deep_rates``.

        Args:
            layers: linear operators that have constants of their own.
        """
        if layers <= _DEEP:
            return self
        return dataclasses.replace(self, rates=self.deep_rates)

    def with_seeds(self, count: int | None) -> Budget:
        """The same budget over so many seeds; None leaves it."""
        if count is None:
            return self
        return dataclasses.replace(self, seeds=tuple(range(count)))


QUICK = Budget(
    "quick", epochs=15, least_steps=150, most_steps=1500, batch=16,
    rates=(3e-3, 1e-2), folds=1, sweeps=16, search_rows=128, search_work=3e10,
    search_starts=1, wrong_locks=200, test_examples=2000, unlabelled=256,
    is_thorough=False, redraws=8, sign_rounds=100,
)  # fmt: skip
FULL = Budget(
    "full", epochs=60, least_steps=600, most_steps=6000, batch=16,
    rates=(1e-3, 3e-3, 1e-2), folds=2, sweeps=100, search_rows=512, search_work=2e12,
    search_starts=3, wrong_locks=200,
)  # fmt: skip
