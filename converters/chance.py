"""Draw a lock whose public file answers real inputs by chance, not by luck.

A locked classifier still answers something, and one draw of many is right on a fifth of
the inputs, or wrong more often than a guess would be. Where real inputs are at hand the
converter draws again until the public file's answers say nothing of the model's, and
are right as often as a guess.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np

from converters.samples import MOST_S, Sample
from converters.schema import read_graph
from edgepro_tf.errors import InterpreterError
from edgepro_tf.locks import ModelLock
from edgepro_tf.runtime.interpreters import call_runtime, make_interpreter
from edgepro_tf.runtime.running import predict_classes, run_model

_LEAST_ROWS = 100  # The agreement of fewer is noise.
_MOST_DRAWS = 16
_TOLERANCE = 0.01


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
) -> tuple[bytes, ModelLock, Agreement | None]:
    """Draw until the public model agrees with the authorized one as a guess would.

    Args:
        draw: makes a public model and its lock, from a fresh seed.
        authorized: the flatbuffer.
        rows: real inputs of batch 1 by name.

    Returns:
        The first draw within a point of both, or of sixteen the nearest; and its
        agreement, None where the model is no classifier of one output that a runtime
        here runs, or there are too few inputs.

    A thief who knows that draws are rejected learns no more than that this file
    answers by chance: a bit or two of the seed's 256.
    """
    public, lock = draw()
    expected = None if len(rows) < _LEAST_ROWS else _answers(authorized, rows)
    nearest = None if expected is None else _agreement(public, expected, rows)
    if nearest is None:
        return public, lock, None
    for _ in range(_MOST_DRAWS - 1):
        if nearest.excess <= _TOLERANCE:
            break
        other = draw()
        found = _agreement(other[0], expected, rows)
        if found is not None and found.excess < nearest.excess:
            (public, lock), nearest = other, found
    return public, lock, nearest


def _agreement(
    public: bytes, expected: tuple[np.ndarray, int], rows: Sequence[Sample]
) -> Agreement | None:
    """None where the public model refuses the numbers that it computes itself."""
    theirs, classes = expected
    found = _answers(public, rows[: len(theirs)])
    return found and compare(found[0], theirs[: len(found[0])], classes)


def _answers(model: bytes, rows: Sequence[Sample]) -> tuple[np.ndarray, int] | None:
    """int [rows], the class given to as many rows as there is time for; of how many."""
    found, deadline = [], time.perf_counter() + MOST_S
    fewest = 1 if _ends_in_sigmoid(model) else 2  # Another single number is a value.
    try:
        interpreter = make_interpreter(model)
        for row in rows:
            outputs = call_runtime(run_model, interpreter, row)
            scores = next(iter(outputs.values()))
            is_row = fewest <= scores.size and scores.shape[-1:] == (scores.size,)
            if len(outputs) > 1 or not is_row:
                return None
            found.append(scores.reshape(-1))
            if time.perf_counter() > deadline:
                break
    except InterpreterError:
        return None
    if len(found) < _LEAST_ROWS:
        return None
    return predict_classes(np.array(found)), max(2, len(found[0]))


def _ends_in_sigmoid(model: bytes) -> bool:
    kinds = [node.kind for node in read_graph(model).nodes]
    return [k for k in kinds if k not in ("QUANTIZE", "DEQUANTIZE")][-1:] == [
        "LOGISTIC"
    ]
