"""Draw a lock whose public file answers real inputs by chance, not by luck.

A locked classifier still answers something, and one draw of many is right on a fifth of
the inputs, or wrong more often than a guess would be. Where real inputs are at hand the
converter draws again until the public file's answers say nothing of the model's, and
are right as often as a guess.
"""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from converters.samples import COMPARED, LONGEST_S, Sample, count_inputs, is_enough
from edgepro_tf.errors import InterpreterError
from edgepro_tf.locks import ModelLock
from edgepro_tf.runtime.interpreters import call_runtime, make_interpreter
from edgepro_tf.runtime.running import (
    are_probabilities,
    predict_classes,
    run_real,
    sum_to_one,
)

_FEW_CLASSES = 3  # Measured: of four, no draw of a hundred gained 20 points by luck.
MOST_DRAWS = 16
_MOST_PLACES = 256  # Of one input, all over it.
_TOLERANCE = 0.01
_MOST_GAIN = 0.1


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

    Source: Cohen, "A Coefficient of Agreement for Nominal Scales", 1960: the terms of
        kappa, p_o and p_e.
    """

    rows: int
    observed: float
    by_chance: float
    by_guess: float
    of: str = "inputs"

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
            f"{self.rows:,} {self.of} ({self.by_chance:.1%} by chance, "
            f"{self.by_guess:.1%} by guessing)"
        )


def compare(
    ours: np.ndarray, theirs: np.ndarray, classes: int, of: str = "inputs"
) -> Agreement:
    """Agreement of two classifiers.

    Args:
        ours, theirs: int [rows], the class each gives to each input.
        classes: number of classes there are to give.
        of: as in ``Agreement``.
    """
    own, other = (
        np.bincount(each, minlength=classes) / len(each) for each in (ours, theirs)
    )
    observed = float(np.mean(ours == theirs))
    return Agreement(len(ours), observed, float(own @ other), 1 / classes, of)


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
        rows: real inputs by name, in the model's own batches.
        most_draws: 1 for a lock without draws, which is the same each time.

    Returns:
        The first draw within a point of both, or of sixteen the nearest; and its
        agreement, of several outputs the worst. None where no output classifies, no
        runtime here runs the model, or there are too few inputs.

    A thief who knows that draws are rejected learns no more than that this file
    answers by chance: a bit or two of the seed's 256.
    """
    started = time.perf_counter()
    public, lock = draw()
    expected = {} if count_inputs(rows) < COMPARED else _answer(authorized, rows)
    expected = {name: each for name, each in expected.items() if each.classes}
    nearest = _agreement(public, expected, rows)
    if nearest is None:
        return public, lock, None
    for _ in range(most_draws - 1):
        if nearest.excess <= _TOLERANCE or time.perf_counter() - started > LONGEST_S:
            break
        other = draw()
        found = _agreement(other[0], expected, rows)
        if found is not None and found.excess < nearest.excess:
            (public, lock), nearest = other, found
    return public, lock, nearest


def warn_of_answers(
    agreement: Agreement | None, outputs: Sequence[Sample], given: int
) -> None:
    """Warn of a public file that works, or that nobody looked at though it may.

    Args:
        agreement: from ``draw_by_chance``.
        outputs: the authorized model's answers to a few inputs, by name.
        given: how many inputs there were.
    """
    if agreement is not None:
        if agreement.gain > _MOST_GAIN:
            warnings.warn(
                f"{agreement}: whoever has it needs no sidecar for those.", stacklevel=4
            )
        return
    found = [
        {_read_scores(each[name]).classes for each in outputs} for name in outputs[0]
    ]
    classes = [each.pop() for each in found if len(each) == 1]
    if given >= COMPARED and any(classes):
        warnings.warn(
            "the public file was not compared with the model: running them takes too "
            f"long, more than {LONGEST_S:.0f} seconds for {COMPARED} of the {given:,} "
            "inputs given, or the public file refuses its own numbers.",
            stacklevel=4,
        )
    elif any(0 < count <= _FEW_CLASSES for count in classes):
        warnings.warn(
            "the public file was not compared with the model: where answers are two or "
            "three classes it may give most of them right by luck, or all wrong. Pass "
            f"{COMPARED} real inputs as samples, and such draws are rejected.",
            stacklevel=4,
        )


@dataclasses.dataclass(frozen=True)
class _Answers:
    """Scores [answers, units] of an output, and what each answer is of."""

    scores: np.ndarray
    of: str

    @functools.cached_property
    def classes(self) -> int:
        """How many classes the scores name; 0 where they are no scores.

        A single value, or values at places, may be anything but probabilities.
        """
        if self.of == "inputs" and self.scores.shape[-1] > 1:
            return self.scores.shape[-1]
        if not are_probabilities(self.scores):
            return 0
        return max(2, self.scores.shape[-1] * int(not self.are_apart))

    @functools.cached_property
    def are_apart(self) -> bool:
        """Whether each value at a place is a yes or no of its own: no softmax."""
        units = self.scores.shape[-1]
        if self.of == "inputs" or units == 1 or not are_probabilities(self.scores):
            return False
        return not sum_to_one(self.scores)

    def predict(self, count: int, *, are_apart: bool) -> np.ndarray:
        """int [...]: the classes of the first answers."""
        scores = self.scores[:count]
        return predict_classes(scores.reshape(-1, 1) if are_apart else scores)


_NONE = _Answers(np.zeros((0, 0)), "inputs")


def _agreement(
    public: bytes, expected: dict[str, _Answers], rows: Sequence[Sample]
) -> Agreement | None:
    """None where the public model refuses the numbers that it computes itself."""
    found = _answer(public, rows) if expected else {}
    agreements = []
    for name, theirs in expected.items():
        if name not in found:
            return None
        count = min(len(theirs.scores), len(found[name].scores))
        both = (
            each.predict(count, are_apart=theirs.are_apart)
            for each in (found[name], theirs)
        )
        agreements.append(compare(*both, theirs.classes, theirs.of))
    return max(agreements, key=lambda each: each.excess, default=None)


def _answer(model: bytes, rows: Sequence[Sample]) -> dict[str, _Answers]:
    """Answers by output, as many as there is time for.

    Empty where there are too few; outputs of no numbers are left out.
    """
    found: dict[str, list[_Answers]] = {}
    started, seen = time.perf_counter(), 0
    try:
        interpreter = make_interpreter(model)
        for row in rows:
            seen += count_inputs([row])
            outputs = call_runtime(run_real, interpreter, row)
            for name, values in outputs.items():
                found.setdefault(name, []).append(_read_scores(values))
            if is_enough(seen, started):
                break
    except InterpreterError:
        return {}
    joined = {
        name: _Answers(np.concatenate([e.scores for e in each]), each[0].of)
        for name, each in found.items()
        if len({e.scores.shape[-1] for e in each}) == 1  # No series of any length.
    }
    return {n: each for n, each in joined.items() if len(each.scores) >= COMPARED}


def _read_scores(values: np.ndarray) -> _Answers:
    """An output's values as answers: of every example, or of places all over them."""
    if values.ndim < 1 or values.dtype.kind not in "fiu" or values.size == 0:
        return _NONE
    scores = values.reshape(-1, values.shape[-1])
    if values.ndim == 2 or len(scores) == 1:
        return _Answers(scores, "inputs")
    most = min(_MOST_PLACES * len(values), len(scores))
    places = np.random.default_rng(0).choice(len(scores), most, replace=False)
    return _Answers(scores[places], "places")  # The same ones of every file.
