"""What a released run is trained towards, for each kind of output."""

from __future__ import annotations

import enum
from typing import Any

import keras
import tensorflow as tf

from edgepro_tf.errors import LockError

OBJECTIVES = ("uniform", "random_labels")
_EPSILON = 1e-7  # Keras' own, in its cross-entropies of probabilities.


class OutputKind(enum.Enum):
    """What the numbers of an output mean."""

    CLASSES = "probabilities of exclusive classes"
    CLASS_LOGITS = "logits of exclusive classes"
    LABELS = "probabilities of independent labels"
    LABEL_LOGITS = "logits of independent labels"
    VALUES = "values"

    @property
    def is_exclusive(self) -> bool:
        return self in (OutputKind.CLASSES, OutputKind.CLASS_LOGITS)

    @property
    def is_logits(self) -> bool:
        return self in (OutputKind.CLASS_LOGITS, OutputKind.LABEL_LOGITS)


def find_kind(loss: Any, activation: Any) -> OutputKind:
    """Tell an output's kind by the loss it is trained with, then by its activation.

    Args:
        loss: a Keras loss, its name, or a function.
        activation: the last activation function, or None.
    """
    loss = keras.losses.get(loss) if isinstance(loss, (str, dict)) else loss
    name = getattr(loss, "__name__", type(loss).__name__).lower().replace("_", "")
    is_entropy = "crossentropy" in name
    logits = bool(getattr(loss, "from_logits", False))
    if is_entropy and "binary" in name:
        return OutputKind.LABEL_LOGITS if logits else OutputKind.LABELS
    if is_entropy and "categorical" in name:
        return OutputKind.CLASS_LOGITS if logits else OutputKind.CLASSES
    if activation is keras.activations.softmax:
        return OutputKind.CLASSES
    if activation is keras.activations.sigmoid:
        return OutputKind.LABELS
    return OutputKind.VALUES


def check_objective(objective: str, kinds: dict[str, OutputKind]) -> None:
    """Refuse an objective that an output does not have.

    Raises:
        LockError: the objective is unknown, or asks the uniform distribution of an
            output of values.
    """
    if objective not in OBJECTIVES:
        raise LockError(
            f"cannot train a released run: expected objective "
            f"{' or '.join(OBJECTIVES)}, got {objective!r}."
        )
    for name, kind in kinds.items():
        if kind is OutputKind.VALUES and objective == "uniform":
            raise LockError(
                f"cannot train released output {name!r} towards the uniform "
                "distribution: expected a classifier (cross-entropy loss, softmax or "
                "sigmoid output), got an output of values.",
                "Use objective='random_labels', which trains it towards other "
                "examples' values.",
            )


def released_loss(
    kind: OutputKind,
    objective: str,
    prediction: tf.Tensor,
    y: Any,
    loss: Any,
) -> tf.Tensor:
    """Mean loss of released examples towards knowing nothing.

    ``uniform`` is the cross-entropy to the uniform distribution, whose least value is
    log(classes). ``random_labels`` deals classes (draws bits) anew in each batch, to
    each example and position one; an output of values takes another example's value.

    Args:
        kind: from ``find_kind``.
        objective: one of ``OBJECTIVES``.
        prediction: float [batch, ..., classes]; the batch may be empty.
        y: labels of other examples (values only).
        loss: the compiled loss (values only).

    Returns:
        float32 scalar, 0 for an empty batch.

    Source: random labels: EdgePro (arXiv 2303.12397), lock training, released phase,
        where classes are drawn independently; dealing gives each class as often as
        the others. Uniform: ours, the same expectation without the labels' noise.
    """
    prediction = tf.cast(prediction, tf.float32)
    terms = 1  # of each cross-entropy
    if kind is OutputKind.VALUES:
        function = keras.losses.get(loss)
        losses = function(tf.cast(y, tf.float32), prediction)
    elif kind.is_exclusive:
        losses, terms = (
            _class_entropy(kind, objective, prediction),
            prediction.shape[-1],
        )
    else:
        losses = _label_entropy(kind, objective, prediction)
    count = tf.cast(tf.maximum(tf.size(losses) // terms, 1), tf.float32)
    return tf.reduce_sum(losses) / count


def _class_entropy(
    kind: OutputKind, objective: str, prediction: tf.Tensor
) -> tf.Tensor:
    """float32 [batch, ..., classes]: the terms whose sum is the cross-entropy."""
    classes = prediction.shape[-1]
    if kind.is_logits:
        logs = tf.nn.log_softmax(prediction)
    else:
        logs = tf.math.log(prediction + _EPSILON)
    if objective == "uniform":
        return logs * (-1 / classes)
    dealt = _deal_classes(tf.shape(prediction)[:-1], classes)
    return logs * tf.one_hot(dealt, classes, -1.0, 0.0)


def _deal_classes(shape: tf.Tensor, classes: int) -> tf.Tensor:
    """int32 [shape]: a random class each, all classes equally often, to within one."""
    first = tf.random.uniform((), 0, classes, dtype=tf.int32)
    deck = (first + tf.range(tf.reduce_prod(shape))) % classes
    return tf.reshape(tf.random.shuffle(deck), shape)


def _label_entropy(
    kind: OutputKind, objective: str, prediction: tf.Tensor
) -> tf.Tensor:
    if objective == "uniform":
        target = tf.fill(tf.shape(prediction), 0.5)
    else:
        bits = tf.random.uniform(tf.shape(prediction), 0, 2, dtype=tf.int32)
        target = tf.cast(bits, tf.float32)
    if kind.is_logits:
        return tf.nn.sigmoid_cross_entropy_with_logits(target, prediction)
    yes = tf.math.log(prediction + _EPSILON)
    no = tf.math.log(1 - prediction + _EPSILON)
    return -(target * yes + (1 - target) * no)


def match_labels(kind: OutputKind, y: tf.Tensor, prediction: tf.Tensor) -> tf.Tensor:
    """float32: 1 where a prediction is right; what the metric "accuracy" averages.

    Args:
        kind: any but ``VALUES``.
        y: int [batch, ...] or [batch, ..., 1], or one-hot like ``prediction``.
        prediction: float [batch, ..., classes].
    """
    if not kind.is_exclusive:
        threshold = 0.0 if kind.is_logits else 0.5
        y = tf.reshape(y, tf.shape(prediction))
        hits = tf.equal(tf.cast(y, tf.float32) > 0.5, prediction > threshold)
        return tf.cast(hits, tf.float32)
    guess = tf.argmax(prediction, -1)
    if len(y.shape) == len(prediction.shape) and y.shape[-1] == prediction.shape[-1]:
        y = tf.argmax(y, -1)
    if len(y.shape) != len(guess.shape):
        y = tf.reshape(y, tf.shape(guess))
    return tf.cast(tf.equal(tf.cast(y, guess.dtype), guess), tf.float32)
