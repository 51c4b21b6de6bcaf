"""Which neurons become authorization neurons: importance ranking, or a secret draw."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgepro_tf.errors import LockError
from edgepro_tf.layers import NeuronLock, record_outputs

METHODS = ("importance", "random")
PREFERENCES = ("important", "unimportant")
# What Keras raises over labels and losses of other names, shapes or types.
_MISFITS = (ValueError, TypeError, KeyError, tf.errors.InvalidArgumentError)


def count_neurons(channels: int, fraction: float) -> int:
    """How many of a layer's channels a fraction means: at least one, never all.

    Raises:
        LockError: the fraction lies outside 0..1.
    """
    if not 0 <= fraction <= 1:
        raise LockError(
            f"cannot select neurons: expected a fraction of 0 to 1, got {fraction}."
        )
    if fraction == 0:
        return 0
    return max(min(round(fraction * channels), channels - 1), min(1, channels - 1))


def draw_neurons(channels: int, fraction: float, rng: random.Random) -> np.ndarray:
    """int64 [count]: a uniform draw without repetition, ascending."""
    drawn = rng.sample(range(channels), count_neurons(channels, fraction))
    return np.array(sorted(drawn), np.int64)


def pick_neurons(scores: np.ndarray, fraction: float, prefer: str) -> np.ndarray:
    """int64 [count]: the channels of highest (or lowest) score, ascending."""
    ranking = np.argsort(scores, kind="stable")
    count = count_neurons(len(scores), fraction)
    picked = (
        ranking[len(scores) - count :] if prefer == "important" else ranking[:count]
    )
    return np.sort(picked).astype(np.int64)


def rank_neurons(
    network: keras.Model,
    locks: list[NeuronLock],
    x: Any,
    y: Any = None,
    *,
    loss: Any = None,
    batch_size: int = 256,
) -> dict[str, np.ndarray]:
    """Importance of every channel before some locks, in one pass over the samples.

    With labels it is the first-order Taylor criterion, the change of the loss when a
    channel is set to zero, ``mean_n |mean_positions dC/dz * z|``. Without, it is the
    mean magnitude of the channel's output. Whoever holds the weights can rank them too;
    a random choice tells him nothing.

    Args:
        network: holds the locks, which change nothing yet.
        locks: lock layers of the network.
        x: training samples as the network takes them. Never test samples: the choice
            would leak them into the model.
        y: their labels, or None to rank by activation alone.
        loss: for the labels, as ``compile`` takes it (of several outputs a list or a
            dict); None takes the one the network is compiled with.
        batch_size: samples at a time.

    Returns:
        float64 [channels] for each lock, by its name.

    Raises:
        LockError: no loss is known for the labels, or they do not fit it.

    Source: Molchanov et al., Pruning Convolutional Neural Networks for Resource
        Efficient Inference, ICLR 2017, section 2.2: equation 8 (Taylor), and the mean
        activation criterion, of which we take the magnitude since ours is taken
        before the activation function. Unlike there, all positions of a shared
        layer's calls are averaged, and layers are ranked each for itself.
    """
    objective = _objective(network, loss) if y is not None else None
    totals = {lock.name: np.zeros(()) for lock in locks}
    for batch in _batches(x, y, batch_size):
        with tf.GradientTape() as tape, record_outputs() as seen:
            prediction = network(batch[0], training=False)
            cost = objective(batch[1], prediction) if objective else None
        outputs = {lock.name: seen[lock.name] for lock in locks}
        slopes = tape.gradient(cost, outputs) if objective else None
        for lock in locks:
            scores = _scores(
                outputs[lock.name], slopes and slopes[lock.name], lock.axis
            )
            totals[lock.name] = totals[lock.name] + scores
    return totals


def _batches(x: Any, y: Any, batch_size: int) -> tf.data.Dataset:
    # tf.data would stack a list of inputs into one tensor.
    x = tuple(x) if isinstance(x, list) else x
    y = tuple(y) if isinstance(y, list) else y
    data = (x,) if y is None else (x, y)
    parts = keras.tree.flatten(data)
    if others := [part for part in parts if not hasattr(part, "shape")]:
        raise LockError(
            "cannot rank neurons: expected samples as arrays, got "
            f"{type(others[0]).__name__}.",
            "Of a tf.data.Dataset give a batch: next(iter(dataset)).",
        )
    counts = {len(part) for part in parts}
    if len(counts) != 1:
        raise LockError(
            "cannot rank neurons: expected as many labels as samples, got "
            f"{' and '.join(map(str, sorted(counts)))}."
        )
    return tf.data.Dataset.from_tensor_slices(data).batch(batch_size)


def _scores(
    outputs: list[tf.Tensor], slopes: list[tf.Tensor] | None, axis: int
) -> np.ndarray:
    """float64 [channels]: a batch's share of the criterion, summed over examples."""
    parts = []
    for call, z in enumerate(outputs):
        if slopes is None:
            part = tf.abs(z)
        elif slopes[call] is None:  # The loss does not depend on this call.
            part = tf.zeros_like(z)
        else:
            part = z * slopes[call]
        rank = len(part.shape)
        positions = [i for i in range(1, rank) if i != axis % rank]
        parts.append(tf.reduce_mean(tf.cast(part, "float64"), positions))
    return np.asarray(tf.reduce_sum(tf.abs(tf.add_n(parts)), 0))


def _objective(network: keras.Model, loss: Any) -> Callable[[Any, Any], tf.Tensor]:
    """Sum of the examples' losses, so that every batch weighs by its size."""
    loss = loss if loss is not None else getattr(network, "loss", None)
    if loss is None:
        raise LockError(
            "cannot rank neurons by their labels: expected a loss, got none.",
            "Pass loss=, compile the model with one, or leave the labels out.",
        )
    is_chain = isinstance(network, keras.Sequential)
    outputs = network.outputs if is_chain else network.output
    judge = keras.Model(network.inputs, outputs)
    judge.compile(loss=loss)  # Keras finds each output's loss and labels.

    def total(y: Any, prediction: Any) -> tf.Tensor:
        try:
            value = tf.reduce_mean(judge.compute_loss(y=y, y_pred=prediction))
        except _MISFITS as error:
            raise LockError(
                "cannot rank neurons by their labels: expected labels that fit the "
                f"loss, got: {_first_sentence(error)}."
            ) from error
        first = keras.tree.flatten(prediction)[0]
        return value * tf.cast(tf.shape(first)[0], value.dtype)

    return total


def _first_sentence(error: Exception) -> str:
    """Without TensorFlow's place in the graph, and the labels that it lists."""
    text = (str(error).splitlines() or [""])[0]
    return re.split(r"\.\s+(?=[A-Z])", text.rpartition("}} ")[2])[0].strip('".')
