"""Networks that answer with numbers: R2, squared errors, and a map of the answers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.scoring.scores import r_squared
from edgepro_tf.audit.scoring.tasks import Task


@dataclasses.dataclass(frozen=True)
class Numbers(Task):
    """Regression: R2, mean squared error in deviations of the labels.

    Labels may be years, prices or parts of 1, and learning rates fit none of them: they
    are counted from their mean, in their deviation. So are the answers, by a gain and a
    shift behind the last operator (``answer_map``). What the thief knows of the labels
    before he has any is thus how large they are: that of ages anybody can say.

    Args:
        mean: of the labels, for each output unit.
        deviations: theirs, around it.
    """

    mean: tuple[float, ...]
    deviations: tuple[float, ...]

    kind = "numbers"
    score_name = "R2"
    labels = "numbers"
    constant = "always the mean label"

    @classmethod
    def of(cls, y: np.ndarray) -> Numbers:
        """The task that labels float [examples, ..., units] set."""
        rows = np.asarray(y, np.float64).reshape(-1, y.shape[-1])
        return cls(tuple(map(float, rows.mean(0))), tuple(map(float, rows.std(0))))

    @property
    def deviation(self) -> float:
        """What one is in answers and targets: one for all units, as in R2."""
        return float(np.sqrt(np.mean(np.square(self.deviations)))) or 1.0

    @property
    def spread(self) -> np.ndarray:
        """float64 [units]: deviation of each unit's targets."""
        return np.array(self.deviations) / self.deviation

    @property
    def least_labels(self) -> int:
        """One more than the map of an answer has numbers."""
        return 3

    @property
    def answer_map(self) -> tuple[tuple[str, np.ndarray], ...]:
        mean = np.array(self.mean, np.float32)
        gain = np.full(len(mean), 1 / self.deviation, np.float32)
        return ("MUL", gain), ("ADD", -mean * gain)

    def read(self, outputs: Any) -> Any:
        return outputs

    def make_targets(self, y: np.ndarray) -> np.ndarray:
        scaled = (y - np.array(self.mean)) / self.deviation
        return np.asarray(scaled, np.float32)

    def soften(self, answers: np.ndarray) -> np.ndarray:
        return answers

    def loss(self, answers: Any, targets: Any) -> Any:
        return tf.reduce_mean(tf.square(answers - targets))

    def score(self, answers: np.ndarray, y: np.ndarray) -> float:
        return r_squared(answers, self.make_targets(y))

    def prefer(self, answers: np.ndarray, y: np.ndarray) -> float:
        """The error alone: R2 of a handful of labels has a handful's variance in it."""
        with np.errstate(all="ignore"):
            error = np.mean((answers.astype(np.float64) - self.make_targets(y)) ** 2)
        return -float(error) if np.isfinite(error) else -np.inf

    def doubt(self, answers: np.ndarray) -> float:
        """How far the answers' mean and deviation are from those of the labels.

        No answer is sure or unsure, but a thief knows how numbers of this kind lie.
        """
        with np.errstate(all="ignore"):
            flat = answers.astype(np.float64).reshape(-1, answers.shape[-1])
            away = flat.mean(0) ** 2 + (flat.std(0) - self.spread) ** 2
        return float(np.mean(away))

    def score_constant(self, known: np.ndarray, y: np.ndarray) -> float:
        return r_squared(np.broadcast_to(known.mean(0), y.shape), y)

    def order_examples(self, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(len(y))

    def change(self, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Labels mirrored at their mean: the same features, another head."""
        del rng
        return np.asarray(2 * np.array(self.mean) - y, np.float32)
