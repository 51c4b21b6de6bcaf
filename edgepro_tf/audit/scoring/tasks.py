"""What a network's answers are: how they are scored, and what trains for them."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

_LEAST = 1e-6  # Of a probability.
_WORST = 10.0  # A loss beyond it, or none at all, is as bad as any.
# Measured: more weight on the loss chooses rates that are too low (letters, 1 %: 50.3 %
# at 0.05, 52.3 % at 0).
_TIE = 1e-3


class Task(abc.ABC):
    """What is asked of a network; everything in an audit that depends on it.

    *Answers* are what ``Network.forward`` gives, *targets* what the loss holds them
    against; *labels* are a data set's.

    ``kind`` is what attacks name it by (``Attack.task``); ``score_name``, ``labels``
    and ``constant``, the best answer of who knows no input, are words of the report.
    """

    kind: ClassVar[str]
    score_name: ClassVar[str]
    labels: ClassVar[str]
    constant: ClassVar[str]

    @property
    @abc.abstractmethod
    def least_labels(self) -> int:
        """As many as a thief has at least."""

    @property
    def answer_map(self) -> tuple[tuple[str, np.ndarray], ...]:
        """Element-wise operators behind a file's last one, and their constants [units].

        What any thief may do to answers, and no file says.
        """
        return ()

    @abc.abstractmethod
    def read(self, outputs: Any) -> Any:
        """Answers, of a network's outputs but for a last softmax or sigmoid."""

    @abc.abstractmethod
    def make_targets(self, y: np.ndarray) -> np.ndarray:
        """float32 [..., units] of labels."""

    @abc.abstractmethod
    def soften(self, answers: np.ndarray) -> np.ndarray:
        """Targets of who trains on another network's answers."""

    @abc.abstractmethod
    def loss(self, answers: Any, targets: Any) -> Any:
        """What training makes small; TensorFlow's."""

    @abc.abstractmethod
    def score(self, answers: np.ndarray, y: np.ndarray) -> float:
        """How right answers are, 0 to 1."""

    @abc.abstractmethod
    def prefer(self, answers: np.ndarray, y: np.ndarray) -> float:
        """What a thief's validation goes by, on a handful of labels; more is better."""

    @abc.abstractmethod
    def doubt(self, answers: np.ndarray) -> float:
        """What who has no labels goes by; less is better."""

    @abc.abstractmethod
    def score_constant(self, known: np.ndarray, y: np.ndarray) -> float:
        """Score of the best constant answer of who has some labels only.

        Args:
            known: his labels.
            y: those of the test set; the same for chance.
        """

    @abc.abstractmethod
    def order_examples(self, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """int [examples]: their numbers as a thief comes by them."""

    @abc.abstractmethod
    def change(self, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Labels of another task, which the same features answer as well."""


@dataclasses.dataclass(frozen=True)
class Classes(Task):
    """Classifiers: accuracy, cross-entropy.

    Args:
        count: of the classes; a single output unit tells two apart.
        are_probabilities: whether the outputs are probabilities that no last softmax
            or sigmoid makes (a mean of two heads): their logarithms are the logits.
    """

    count: int
    are_probabilities: bool = False

    kind = "classes"
    score_name = "accuracy"
    labels = "class numbers"
    constant = "always the most frequent label"

    @property
    def least_labels(self) -> int:
        """One a class."""
        return self.count

    def read(self, outputs: Any) -> Any:
        """Logits [..., classes]."""
        units = outputs.shape[-1]
        if self.are_probabilities:
            p = tf.clip_by_value(outputs, _LEAST, 1 - _LEAST)
            outputs = tf.math.log(p) if units > 1 else tf.math.log(p / (1 - p))
        if units > 1:
            return outputs
        return tf.concat([tf.zeros_like(outputs), outputs], -1)  # Softmax: a sigmoid.

    def make_targets(self, y: np.ndarray) -> np.ndarray:
        return np.eye(self.count, dtype=np.float32)[y]

    def soften(self, answers: np.ndarray) -> np.ndarray:
        return np.exp(answers - np.logaddexp.reduce(answers, -1, keepdims=True))

    def loss(self, answers: Any, targets: Any) -> Any:
        return cross_entropy(answers, targets)

    def score(self, answers: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean(np.argmax(answers, -1) == y))

    def prefer(self, answers: np.ndarray, y: np.ndarray) -> float:
        """Accuracy; loss where it ties."""
        with np.errstate(invalid="ignore"):  # A start may have no finite answer.
            log_p = answers - np.logaddexp.reduce(answers, -1, keepdims=True)
        loss = -np.mean(np.take_along_axis(log_p, y[..., None], -1))
        loss = min(loss, _WORST) if np.isfinite(loss) else _WORST
        return self.score(answers, y) - _TIE * float(loss)

    def doubt(self, answers: np.ndarray) -> float:
        """Least where answers are sure and evenly spread (``information``)."""
        return float(information(answers, None))

    def score_constant(self, known: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean(y == np.bincount(known.ravel()).argmax()))

    def order_examples(self, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One of each class first, so that a small share misses none by bad luck.

        Args:
            y: int [examples], or [examples, ...] with several in an example.
            rng: draws the order.
        """
        order = rng.permutation(len(y))
        mixed = y[order].reshape(len(y), -1)
        found = [int(np.argmax((mixed == c).any(1))) for c in np.unique(mixed)]
        first = list(dict.fromkeys(found))
        rest = np.setdiff1d(np.arange(len(order)), first, assume_unique=True)
        picked = np.concatenate([rng.permutation(first), rest]).astype(int)
        return np.asarray(order[picked])

    def change(self, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Classes renamed."""
        return np.asarray(rng.permutation(self.count)[y])


def cross_entropy(logits: Any, y: Any) -> Any:
    """Mean cross-entropy against a distribution over classes [batch, ..., classes]."""
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits))


def information(logits: Any, y: Any) -> Any:
    """Entropy of each answer minus entropy of the mean answer; labels are not read.

    Source: Liang, Hu, Feng, "Do We Really Need to Access the Source Data?", ICML 2020,
    equation 3 (information maximisation), after Grandvalet and Bengio, NIPS 2004.
    """
    del y
    p = tf.nn.softmax(logits)
    each = -tf.reduce_mean(tf.reduce_sum(p * tf.math.log(p + 1e-9), -1))
    mean = tf.reduce_mean(tf.reshape(p, [-1, p.shape[-1]]), 0)
    return each + tf.reduce_sum(mean * tf.math.log(mean + 1e-9))
