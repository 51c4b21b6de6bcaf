"""Draw a lock whose public file answers real inputs by chance, not by luck.

A locked classifier still answers something, and one draw of many is right on a fifth of
the inputs, or wrong more often than a guess would be. Where real inputs are at hand the
converter draws again until the public file's answers say nothing of the model's, and
are right as often as a guess.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from converters.samples import MOST_S, Sample
from edgepro_tf.errors import InterpreterError
from edgepro_tf.locks import ModelLock
from edgepro_tf.runtime.interpreters import call_runtime, make_interpreter
from edgepro_tf.runtime.running import are_probabilities, predict_classes, run_real

Scores = np.ndarray

_FEW_CLASSES = 3  # Measured: of four, no draw of a hundred gained 20 points by luck.
_LEAST_ROWS = 100  # The agreement of fewer is noise.
MOST_DRAWS = 16
_TOLERANCE = 0.01
_MOST_GAIN = 0.1


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How often the public file alone gives the model's own answer.

    Args:
        rows: inputs compared.
        observed: share of them with the same answer.
        by_chance: the share that two classifiers with these answers, independent of
            each other, would have: sum over classes of the products of their shares.
        by_guess: the share of right answers of a guess among all classes.

    Source: Cohen, "A Coefficient of Agreement for Nominal Scales", 1960: the terms of
        kappa, p_o and p_e.
    """

    rows: int
    observed: float
    by_chance: float
    by_guess: float

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
            f"the public file alone gives the model's answer to {self.observed:.1%} of "
            f"{self.rows:,} inputs ({self.by_chance:.1%} by chance, "
            f"{self.by_guess:.1%} by guessing)"
        )


def compare(ours: np.ndarray, theirs: np.ndarray, classes: int) -> Agreement:
    """Agreement of two classifiers.

    Args:
        ours, theirs: int [rows], the class each gives to each input.
        classes: number of classes there are to give.
    """
    own, other = (
        np.bincount(each, minlength=classes) / len(each) for each in (ours, theirs)
    )
    observed = float(np.mean(ours == theirs))
    return Agreement(len(ours), observed, float(own @ other), 1 / classes)


def draw_by_chance(
    draw: Callable[[], tuple[bytes, ModelLock]],
    authorized: bytes,
    rows: Sequence[Sample],
    *,
    most_draws: int = MOST_DRAWS,
) -> tuple[bytes, ModelLock, Agreement | None]:
    """Draw until the public model agrees with the authorized one as a guess would.

    Args:
        draw: makes a public model and its lock, from a fresh seed.
        authorized: the flatbuffer.
        rows: real inputs of one batch by name.
        most_draws: 1 for a lock without draws, which is the same each time.

    Returns:
        The first draw within a point of both, or of sixteen the nearest; and its
        agreement, of several outputs the worst. None where no output classifies, no
        runtime here runs the model, or there are too few inputs.

    A thief who knows that draws are rejected learns no more than that this file
    answers by chance: a bit or two of the seed's 256.
    """
    public, lock = draw()
    expected = {} if len(rows) < _LEAST_ROWS else _answers(authorized, rows)
    expected = {name: s for name, s in expected.items() if _count_classes(s)}
    nearest = _agreement(public, expected, rows)
    if nearest is None:
        return public, lock, None
    for _ in range(most_draws - 1):
        if nearest.excess <= _TOLERANCE:
            break
        other = draw()
        found = _agreement(other[0], expected, rows)
        if found is not None and found.excess < nearest.excess:
            (public, lock), nearest = other, found
    return public, lock, nearest


def warn_of_answers(agreement: Agreement | None, outputs: Sequence[Sample]) -> None:
    """Warn of a public file that works, or that nobody looked at though it may.

    Args:
        agreement: from ``draw_by_chance``.
        outputs: the authorized model's answers to a few inputs, by name.
    """
    if agreement is not None and agreement.gain > _MOST_GAIN:
        warnings.warn(
            f"{agreement}: whoever has it needs no sidecar for those.", stacklevel=4
        )
    if agreement is None and any(
        all(_is_scores(v) and 0 < _count_classes(v) <= _FEW_CLASSES for v in values)
        for values in ([each[name] for each in outputs] for name in outputs[0])
    ):
        warnings.warn(
            "the public file was not compared with the model: where answers are two or "
            "three classes it may give most of them right by luck, or all wrong. Pass "
            f"{_LEAST_ROWS} real inputs as samples, and such draws are rejected.",
            stacklevel=4,
        )


def _agreement(
    public: bytes, expected: dict[str, Scores], rows: Sequence[Sample]
) -> Agreement | None:
    """None where the public model refuses the numbers that it computes itself."""
    found = _answers(public, rows) if expected else {}
    agreements = []
    for name, scores in expected.items():
        if name not in found:
            return None
        count = min(len(scores), len(found[name]))
        ours, theirs = (predict_classes(s[:count]) for s in (found[name], scores))
        agreements.append(compare(ours, theirs, _count_classes(scores)))
    return max(agreements, key=lambda each: each.excess, default=None)


def _answers(model: bytes, rows: Sequence[Sample]) -> dict[str, Scores]:
    """Scores [examples, classes] by output, as many as there is time for.

    Empty where there are too few; outputs that do not classify are left out.
    """
    found: dict[str, list[Scores]] = {}
    deadline = time.perf_counter() + MOST_S
    try:
        interpreter = make_interpreter(model)
        for row in rows:
            outputs = call_runtime(run_real, interpreter, row)
            for name, values in outputs.items():
                if _is_scores(values):
                    scores = values.reshape(-1, values.shape[-1])
                    found.setdefault(name, []).append(scores)
            if time.perf_counter() > deadline:
                break
    except InterpreterError:
        return {}
    joined = {
        name: np.concatenate(scores)
        for name, scores in found.items()
        if len({each.shape[-1] for each in scores}) == 1  # No series of any length.
    }
    return {name: each for name, each in joined.items() if len(each) >= _LEAST_ROWS}


def _is_scores(values: np.ndarray) -> bool:
    """Whether an output's values are [examples, classes]."""
    if values.ndim < 1 or values.dtype.kind not in "fiu" or values.size == 0:
        return False
    return values.ndim == 2 or values.size == values.shape[-1]


def _count_classes(scores: Scores) -> int:
    """How many classes scores name; 0 for a single value that is no probability."""
    units = scores.shape[-1]
    return units if units != 1 else 2 * int(are_probabilities(scores))
