"""Which neurons become authorization neurons: importance ranking, or a secret draw."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgepro_tf.errors import LockError
from edgepro_tf.folding import filter_view, is_linear, output_axis
from edgepro_tf.graph import graphs_of
from edgepro_tf.layers import NeuronLock, record_outputs
from edgepro_tf.locks import secret_rng

METHODS = ("importance", "random")
PREFERENCES = ("important", "unimportant")


def select_neurons(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    layer: str,
    fraction: float,
    method: str = "importance",
    prefer: str = "important",
    loss: Any = None,
    batch_size: int = 256,
    seed: int | None = None,
) -> np.ndarray:
    """Choose a layer's authorization neurons.

    Importance makes the lock bite where the network leans on its neurons, but whoever
    holds the weights can rank them too; a random choice tells him nothing.

    Args:
        model: functional or Sequential, or a locked network.
        x: training samples as the model takes them; not needed by ``random``. Never
            test samples: the choice would leak them into the model.
        y: their labels, or None to rank by activation alone.
        layer: a linear layer of the model itself, or a lock layer.
        fraction: share of the layer's neurons, 0 to 1.
        method: ``importance`` or ``random``.
        prefer: rank from the ``important`` or the ``unimportant`` end.
        loss: Keras loss for the labels; None takes the one the model is compiled with.
        batch_size: samples at a time.
        seed: for tests; None draws from the operating system's generator.

    Returns:
        int64 [count], ascending; ``count_neurons`` says how many.

    Raises:
        LockError: an argument is out of range, or the layer cannot be ranked.

    Source: see ``rank_neurons``.
    """
    if method not in METHODS or prefer not in PREFERENCES:
        raise LockError(
            f"cannot select neurons: expected method {' or '.join(METHODS)} and prefer "
            f"{' or '.join(PREFERENCES)}, got {method!r} and {prefer!r}."
        )
    if method == "random":
        return draw_neurons(_channels(model, layer), fraction, secret_rng(seed))
    if x is None:
        raise LockError(
            "cannot rank neurons: expected training samples, got none.",
            "Pass x, or use method='random'.",
        )
    scores = rank_neurons(
        model, x, y, layers=[layer], loss=loss, batch_size=batch_size
    )[layer]
    return pick_neurons(scores, fraction, prefer)


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
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    layers: list[str],
    loss: Any = None,
    batch_size: int = 256,
) -> dict[str, np.ndarray]:
    """Importance of every channel of some layers, in one pass over the samples.

    With labels it is the first-order Taylor criterion, the change of the loss when a
    channel is set to zero, ``mean_n |mean_positions dC/dz * z|``. Without, it is the
    mean magnitude of the channel's output.

    Args:
        model: functional or Sequential, or a locked network.
        x: training samples; y: labels or None; loss: see ``select_neurons``.
        layers: linear or lock layers.
        batch_size: samples at a time.

    Returns:
        float64 [channels] for each layer.

    Raises:
        LockError: no loss is known for the labels, or a layer is not in the model.

    Source: Molchanov et al., Pruning Convolutional Neural Networks for Resource
        Efficient Inference, ICLR 2017, section 2.2: equation 8 (Taylor), and the mean
        activation criterion, of which we take the magnitude since ours is taken
        before the activation function. Unlike there, all positions of a shared
        layer's calls are averaged, and layers are ranked each for itself.
    """
    tap = _tap(model, layers)
    objective = _objective(model, loss) if y is not None else None
    axes = {name: _axis(model, name) for name in layers}
    totals = {name: np.zeros(()) for name in layers}
    for batch in _batches(x, y, batch_size):
        with tf.GradientTape() as tape:
            outputs, prediction = tap(batch[0])
            cost = objective(batch[1], prediction) if objective else None
        slopes = tape.gradient(cost, outputs) if objective else None
        for name, axis in axes.items():
            scores = _scores(outputs[name], slopes and slopes[name], axis)
            totals[name] = totals[name] + scores
    return totals


def _batches(x: Any, y: Any, batch_size: int) -> tf.data.Dataset:
    # tf.data would stack a list of inputs into one tensor.
    x = tuple(x) if isinstance(x, list) else x
    y = tuple(y) if isinstance(y, list) else y
    data = (x,) if y is None else (x, y)
    counts = {len(part) for part in keras.tree.flatten(data)}
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


def _objective(model: keras.Model, loss: Any) -> Callable[[Any, Any], tf.Tensor]:
    """Sum of the examples' losses, so that every batch weighs by its size."""
    loss = loss if loss is not None else getattr(model, "loss", None)
    if loss is None or isinstance(loss, (dict, list, tuple)):
        raise LockError(
            "cannot rank neurons by their labels: expected one loss, got none or "
            "several.",
            "Pass loss=, compile the model with one, or leave the labels out.",
        )
    function = keras.losses.get(loss)

    def total(y: Any, prediction: Any) -> tf.Tensor:
        first = keras.tree.flatten(prediction)[0]
        if first.shape[-1] == 1 and tf.rank(y) == len(first.shape) - 1:
            y = tf.expand_dims(y, -1)  # As Keras takes the labels of one unit.
        try:
            value = tf.reduce_mean(function(y, prediction))
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            raise LockError(
                "cannot rank neurons by their labels: expected labels that fit the "
                f"loss, got: {_first_sentence(error)}."
            ) from error
        return value * tf.cast(tf.shape(first)[0], value.dtype)

    return total


def _first_sentence(error: Exception) -> str:
    """Without TensorFlow's place in the graph, and the labels that it lists."""
    text = (str(error).splitlines() or [""])[0]
    return text.rpartition("}} ")[2].partition(". ")[0].rstrip(".")


def _tap(
    model: keras.Model, layers: list[str]
) -> Callable[[Any], tuple[dict[str, list[tf.Tensor]], Any]]:
    """A callable that gives the layers' outputs beside the prediction."""
    locks = {
        layer.name for layer in _all_layers(model) if isinstance(layer, NeuronLock)
    }
    if locks.issuperset(layers):

        def recorded(x: Any) -> tuple[dict[str, list[tf.Tensor]], Any]:
            with record_outputs() as seen:
                prediction = model(x, training=False)
            return {name: seen[name] for name in layers}, prediction

        return recorded
    outputs = {name: model.get_layer(name).output for name in _own(model, layers)}
    if isinstance(model, keras.Sequential):  # It has no input and output of its own.
        probe = keras.Model(model.inputs[0], [outputs, model.outputs[0]])
    else:
        probe = keras.Model(model.input, [outputs, model.output])

    def probed(x: Any) -> tuple[dict[str, list[tf.Tensor]], Any]:
        seen, prediction = probe(x, training=False)
        return {name: [value] for name, value in seen.items()}, prediction

    return probed


def _own(model: keras.Model, layers: list[str]) -> list[str]:
    names = {layer.name for layer in model.layers}
    for name in layers:
        if name not in names:
            raise LockError(
                f"cannot rank neurons of layer {name!r}: expected a layer of model "
                f"{model.name!r} itself, got a name it does not have.",
                "lock_model ranks layers of nested models too.",
            )
    return layers


def _axis(model: keras.Model, name: str) -> int:
    layer = _layer(model, name)
    return layer.axis if isinstance(layer, NeuronLock) else output_axis(layer)


def _channels(model: keras.Model, name: str) -> int:
    layer = _layer(model, name)
    if isinstance(layer, NeuronLock):
        return int(layer.scale.shape[0])
    return int(filter_view(layer).shape[-1])


def _layer(model: keras.Model, name: str) -> keras.layers.Layer:
    for layer in _all_layers(model):
        if layer.name == name and (isinstance(layer, NeuronLock) or is_linear(layer)):
            return layer
    raise LockError(
        f"cannot select neurons of layer {name!r}: expected a convolution, dense or "
        f"lock layer of model {model.name!r}, got none of that name."
    )


def _all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for _, graph in graphs_of(model) for layer in graph.layers]
