"""How much of a model's answers its public file alone gives: classes, or numbers."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How often the public file alone gives the model's own answer.

    Args:
        rows: answers compared.
        observed: share of them with the same answer.
        by_chance: the share that two classifiers with these answers, independent of
            each other, would have: sum over classes of the products of their shares.
        by_guess: the share of right answers of a guess among all classes.
        of: what has an answer of its own: ``inputs``, or ``places`` in them (pixels).
        output: whose answers, of several outputs; empty of the only one.

    Source: Cohen, "A Coefficient of Agreement for Nominal Scales", 1960: the terms of
        kappa, p_o and p_e.
    """

    rows: int
    observed: float
    by_chance: float
    by_guess: float
    of: str = "inputs"
    output: str = ""

    @property
    def excess(self) -> float:
        """How far the observed share lies from chance, or from a guess, if farther.

        A file that gives one class to all inputs agrees by chance exactly, and yet is
        right as often as that class happens to occur.
        """
        nearest = (self.by_chance, self.by_guess)
        return max(abs(self.observed - each) for each in nearest)

    @property
    def gain(self) -> float:
        """By how much the observed share is above both."""
        return self.observed - max(self.by_chance, self.by_guess)

    def __str__(self) -> str:
        return (
            f"the public file alone gives the model's answer{_at(self.output)} to "
            f"{self.observed:.1%} of {self.rows:,} {self.of} ({self.by_chance:.1%} by "
            f"chance, {self.by_guess:.1%} by guessing)"
        )


@dataclasses.dataclass(frozen=True)
class Correlation:
    """How much of the model's numbers the public file's explain.

    Args:
        rows: inputs compared.
        explained: R2 of the public file's answers, 0 to 1, after the gain and the
            shift that suit each number of an answer best: of a single one the squared
            correlation, of several the mean of theirs, by variance or each alike,
            whichever is greater: prices beside ages hide what is known of ages.
        by_chance: its mean for independent answers, 1 / (rows - 1).
        output: as in ``Agreement``.
    """

    rows: int
    explained: float
    by_chance: float
    output: str = ""

    @property
    def excess(self) -> float:
        """By how much more is explained than chance would; 0 for less."""
        return max(0.0, self.gain)

    @property
    def gain(self) -> float:
        return self.explained - self.by_chance

    def __str__(self) -> str:
        return (
            f"the public file alone gives the model's numbers{_at(self.output)} for "
            f"{self.rows:,} inputs with an R2 of {self.explained:.1%}, a gain and a "
            f"shift fitted ({self.by_chance:.1%} by chance)"
        )


def compare(
    ours: np.ndarray,
    theirs: np.ndarray,
    classes: int,
    of: str = "inputs",
    output: str = "",
) -> Agreement:
    """Agreement of two classifiers.

    Args:
        ours, theirs: int [rows], the class each gives to each input.
        classes: number of classes there are to give.
        of, output: as in ``Agreement``.
    """
    own, other = (
        np.bincount(each, minlength=classes) / len(each) for each in (ours, theirs)
    )
    observed = float(np.mean(ours == theirs))
    return Agreement(len(ours), observed, float(own @ other), 1 / classes, of, output)


def correlate(ours: np.ndarray, theirs: np.ndarray, output: str = "") -> Correlation:
    """How much of some numbers others explain, each by a line of its own.

    Args:
        ours, theirs: [inputs, numbers]; what is not finite is taken for the mean, and
            what theirs have the same for all inputs is left out.
        output: as in ``Agreement``.

    Source: the coefficient of determination of a simple regression is the squared
        correlation; that of independent numbers has a beta distribution with
        parameters 1/2 and (rows - 2) / 2 (Fisher, 1915), and so this mean.
    """
    found, truth = _center(ours), _center(theirs)
    variance = np.sum(truth**2, 0)
    varies = variance > 0
    found, truth, variance = found[:, varies], truth[:, varies], variance[varies]
    spread = np.sum(found**2, 0) * variance
    shared = np.sum(found * truth, 0) ** 2 / np.where(spread > 0, spread, 1)
    explained = 0.0
    if shared.size:
        explained = max(np.average(shared, weights=variance), shared.mean())
    return Correlation(len(ours), float(explained), 1 / (len(ours) - 1), output)


def _at(output: str) -> str:
    return f" at output {output!r}" if output else ""


def _center(values: np.ndarray) -> np.ndarray:
    """float64: values from their mean; 0 for what is not finite."""
    numbers = np.ma.masked_invalid(np.asarray(values, np.float64))
    centered: np.ndarray = (numbers - numbers.mean(0)).filled(0)
    return centered
