"""Draw a lock whose public file answers real inputs by chance, not by luck.

A locked classifier still answers something, and one draw of many is right on a fifth of
the inputs, or wrong more often than a guess would be; the numbers of one draw of many
are a third of the model's. Where real inputs are at hand the converter draws again
until the public file's answers say nothing of the model's, and are right as often as a
guess.
"""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.agreement import Agreement, Correlation, compare, correlate
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

_FEW = 3  # Classes. Measured: of four, no draw of a hundred gained 20 points by luck.
MOST_DRAWS = 64
_FEW_DRAWS = 16
_MOST_PLACES = 256  # Of one input, all over it; as many of its numbers.
_TOLERANCE, _NEAR = 0.01, 0.05  # Of the first draws; of later ones.
_MOST_GAIN = 0.1

Likeness = Agreement | Correlation


def draw_by_chance(
    draw: Callable[[], tuple[bytes, ModelLock]],
    authorized: bytes,
    rows: Sequence[Sample],
    *,
    options: dict[str, Any] | None = None,
    most_draws: int = MOST_DRAWS,
) -> tuple[bytes, ModelLock, Likeness | None]:
    """Draw until the public model agrees with the authorized one as a guess would.

    Args:
        draw: makes a public model and its lock, from a fresh seed.
        authorized: the flatbuffer.
        rows: real inputs by name, in the model's own batches.
        options: of an interpreter that runs the model; None for the default one.
        most_draws: 1 for a lock without draws, which is the same each time.

    Returns:
        The first draw within a point of chance, or of sixteen the nearest (``_rank``),
        or of more until one is within five points; and its agreement, of several
        outputs the worst. None where no output has numbers of one shape, no runtime
        here runs the model, or there are too few inputs.

    A thief who knows that draws are rejected learns no more than that this file
    answers by chance: of the seed's 256 bits one or two, six at most. Of many files of
    one network that adds up to something of its labels (decision 0007).
    """
    started = time.perf_counter()
    public, lock = draw()
    answer = functools.partial(_answer, rows=rows, options=options or {})
    expected = {} if count_inputs(rows) < COMPARED else answer(authorized)
    expected = {name: each for name, each in expected.items() if each.are_telling}
    nearest = _agreements(public, expected, answer)
    if not nearest:
        return public, lock, None
    for drawn in range(1, most_draws):
        is_late = time.perf_counter() - started > LONGEST_S
        near = _TOLERANCE if drawn < _FEW_DRAWS else _NEAR
        if is_late or all(each.excess <= near for each in nearest):
            break
        other = draw()
        found = _agreements(other[0], expected, answer)
        if found and _rank(found) < _rank(nearest):
            (public, lock), nearest = other, found
    return public, lock, max(nearest, key=lambda each: each.excess)


def warn_of_answers(
    agreement: Likeness | None, outputs: Sequence[Sample], given: int, batch: int
) -> None:
    """Warn of a public file that works, or that nobody looked at though it may.

    Args:
        agreement: from ``draw_by_chance``.
        outputs: the authorized model's answers to a few inputs, by name.
        given: how many inputs there were.
        batch: how many of them the model takes at a time.
    """
    if agreement is not None:
        if agreement.gain > _MOST_GAIN:
            warnings.warn(
                f"{agreement}: whoever has it needs no sidecar for that.", stacklevel=4
            )
        return
    found = [
        _join([_read_answers(each[name], batch) for each in outputs])
        for name in outputs[0]
    ]
    if given >= COMPARED and not any(each.are_telling for each in found):
        return  # Nothing to compare.
    if given >= COMPARED:
        warnings.warn(
            "the public file was not compared with the model: running them takes too "
            f"long, more than {LONGEST_S:.0f} seconds for {COMPARED} of the {given:,} "
            "inputs given, or the public file refuses its own numbers.",
            stacklevel=4,
        )
    elif any(0 < each.classes <= _FEW for each in found):
        warnings.warn(
            "the public file was not compared with the model: where answers are two or "
            "three classes it may give most of them right by luck, or all wrong. Pass "
            f"{COMPARED} real inputs as samples, and such draws are rejected.",
            stacklevel=4,
        )
    elif any(each.are_few_numbers for each in found):
        warnings.warn(
            "the public file was not compared with the model: where answers are a few "
            "numbers, or maps of them, it may explain a third of them by luck. Pass "
            f"{COMPARED} real inputs as samples, and such draws are rejected.",
            stacklevel=4,
        )


@dataclasses.dataclass(frozen=True)
class _Answers:
    """An output's values, read both ways.

    Args:
        scores: [answers, units], of classes.
        of: what each answer is of.
        numbers: [inputs, numbers], some of all that an input has.
    """

    scores: np.ndarray
    of: str
    numbers: np.ndarray

    @functools.cached_property
    def classes(self) -> int:
        """How many classes the scores name; 0 where they are no scores.

        A single value, or values at places, may be anything but probabilities, and
        even those are numbers (shares, depths) where none of many, or each, says yes.
        Of several one each is some input's greatest, or they are no logits.
        """
        units = self.scores.shape[-1]
        if self.of == "inputs" and units > 1:
            is_each = self.is_softmax or len(set(self.scores.argmax(-1))) == units
            return units if is_each else 0
        if not are_probabilities(self.scores):
            return 0
        if units > 1 and not self.are_apart:
            return units
        is_one_sided = len(np.unique(self.scores >= 0.5)) == 1
        return 0 if is_one_sided and len(self.scores) >= COMPARED else 2

    @functools.cached_property
    def is_softmax(self) -> bool:
        return are_probabilities(self.scores) and sum_to_one(self.scores)

    @property
    def are_telling(self) -> bool:
        """Whether they are classes or numbers, and not always the same."""
        is_same = bool(np.all(self.scores == self.scores[:1]))
        return self.are_numbers or (self.classes > 0 and not is_same)

    @functools.cached_property
    def are_numbers(self) -> bool:
        """Whether they may be more than classes, and differ from input to input.

        Logits look like any other numbers, and so do the shares of several classes
        that do not exclude each other.
        """
        is_lone = self.of != "inputs" or self.scores.shape[-1] == 1
        is_class = self.classes and (is_lone or self.is_softmax)
        with np.errstate(invalid="ignore"):
            return (
                not is_class
                and len(self.numbers) > 1
                and bool(np.ptp(self.numbers, 0).any())
            )

    @property
    def are_few_numbers(self) -> bool:
        """Whether luck goes far with them: of many units it evens out."""
        is_few = self.of != "inputs" or self.scores.shape[-1] <= _FEW
        return self.are_numbers and is_few

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


_NO_ROWS = np.zeros((0, 1))
_NONE = _Answers(_NO_ROWS, "inputs", _NO_ROWS)


def _rank(likenesses: Sequence[Likeness]) -> float:
    """How far from chance the worst classes are, and half of the worst numbers.

    A point is near enough. Logits are read both ways, and so are a few numbers that
    are no logits: nobody knows which they are (decision 0007).
    """
    return sum(
        share
        * max([_TOLERANCE, *(e.excess for e in likenesses if isinstance(e, kind))])
        for kind, share in ((Agreement, 1.0), (Correlation, 0.5))
    )


def _agreements(
    public: bytes,
    expected: dict[str, _Answers],
    answer: Callable[[bytes], dict[str, _Answers]],
) -> list[Likeness]:
    """Empty where the public model refuses the numbers that it computes itself."""
    found = answer(public) if expected else {}
    likenesses: list[Likeness] = []
    for name, theirs in expected.items():
        if name not in found:
            return []
        ours, output = found[name], name if len(found) > 1 else ""
        if theirs.classes:
            count = min(len(theirs.scores), len(ours.scores))
            both = (
                each.predict(count, are_apart=theirs.are_apart)
                for each in (ours, theirs)
            )
            likenesses.append(compare(*both, theirs.classes, theirs.of, output))
        count = min(len(theirs.numbers), len(ours.numbers))
        if theirs.are_numbers and count >= COMPARED:
            numbers = (each.numbers[:count] for each in (ours, theirs))
            likenesses.append(correlate(*numbers, output))
    return likenesses


def _answer(
    model: bytes, rows: Sequence[Sample], options: dict[str, Any]
) -> dict[str, _Answers]:
    """Answers by output, as many as there is time for.

    Empty where there are too few; outputs of no numbers are left out.
    """
    found: dict[str, list[_Answers]] = {}
    started, seen = time.perf_counter(), 0
    try:
        interpreter = make_interpreter(model, **options)
        for row in rows:
            outputs = call_runtime(run_real, interpreter, row)
            inputs = count_inputs([row], outputs)
            seen += inputs
            for name, values in outputs.items():
                found.setdefault(name, []).append(_read_answers(values, inputs))
            if is_enough(seen, started):
                break
    except InterpreterError:
        return {}
    if seen < COMPARED:
        return {}
    joined = {name: _join(each) for name, each in found.items()}
    return {n: each for n, each in joined.items() if len(each.scores) >= COMPARED}


def _join(answers: list[_Answers]) -> _Answers:
    """All of one output; none of a series of any length."""
    scores, numbers = (
        np.concatenate(each) if len({one.shape[1] for one in each}) == 1 else _NO_ROWS
        for each in ([a.scores for a in answers], [a.numbers for a in answers])
    )
    return _Answers(scores, answers[0].of, numbers)


def _read_answers(values: np.ndarray, inputs: int) -> _Answers:
    """An output's values as answers: of every example, or of places all over them."""
    if values.dtype.kind not in "fiu" or values.size == 0:
        return _NONE
    if values.ndim < 2:
        values = values.reshape(inputs if values.size == inputs else 1, -1)
    numbers = values.reshape(inputs if len(values) == inputs else 1, -1)
    numbers = numbers[:, _choose(numbers.shape[1], _MOST_PLACES)]
    scores = values.reshape(-1, values.shape[-1])
    if len(scores) == 1 or values.shape[:-1] == (inputs,):
        return _Answers(scores, "inputs", numbers)
    places = scores[_choose(len(scores), _MOST_PLACES * len(values))]
    return _Answers(places, "places", numbers)


def _choose(count: int, most: int) -> np.ndarray:
    """int: which of so many are looked at, the same ones of every file."""
    if count <= most:
        return np.arange(count)
    return np.random.default_rng(0).choice(count, most, replace=False)
