"""Which neurons are selected, on networks whose right answer is known."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgepro_tf.errors import LockError
from edgepro_tf.layers import NeuronLock
from edgepro_tf.lock_training.selection import count_neurons, rank_neurons
from edgepro_tf.locking import LockConfig, lock_model, locks_of
from tests import models

LOSS = "sparse_categorical_crossentropy"


def _planted() -> keras.Model:
    """A network whose neuron 0 alone decides, while neuron 5 is loud and unused."""
    inputs = keras.Input((4,))
    x = keras.layers.Dense(6, activation="relu", name="hidden")(inputs)
    x = keras.layers.Dense(2, activation="softmax", name="head")(x)
    model = keras.Model(inputs, x)
    kernel = np.zeros((4, 6), np.float32)
    kernel[0, 0], kernel[:, 5] = 1, 20
    head = np.zeros((6, 2), np.float32)
    head[0] = [3, -3]
    model.set_weights([kernel, np.full(6, 0.1), head, np.zeros(2)])
    return model


def _samples() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    return x, (x[:, 0] < 0).astype(np.int32)


def _choose(
    model: keras.Model, layer: str, fraction: float, samples: Any, **parts: Any
) -> np.ndarray:
    """int64 [count]: the authorization neurons that locking draws."""
    config = LockConfig(fraction=fraction, selection="importance", **parts)
    locked = lock_model(
        model, config=config, layers=[layer], samples=samples, loss=LOSS
    )
    return locks_of(locked)[layer].authorization_neurons


def _with_locks(
    model: keras.Model, layers: list[str] | None = None
) -> tuple[keras.Model, list[NeuronLock]]:
    """A network whose locks change nothing, as it is when neurons are ranked."""
    config = LockConfig(fraction=0, signs=False)
    network = lock_model(model, config=config, layers=layers).network
    parts = network._flatten_layers(recursive=True, include_self=False)
    return network, [layer for layer in parts if isinstance(layer, NeuronLock)]


def test_taylor_finds_the_neuron_that_matters_even_channel_0() -> None:
    chosen = _choose(_planted(), "hidden", 0.2, _samples())
    np.testing.assert_array_equal(chosen, [0])


def test_without_labels_the_loudest_neuron_ranks_first() -> None:
    x, _ = _samples()
    chosen = _choose(_planted(), "hidden", 0.2, x)
    np.testing.assert_array_equal(chosen, [5])


def test_the_other_end_of_the_ranking() -> None:
    chosen = _choose(_planted(), "hidden", 0.8, _samples(), prefer="unimportant")
    np.testing.assert_array_equal(chosen, [1, 2, 3, 4, 5])


def test_taylor_estimates_what_setting_a_channel_to_zero_costs() -> None:
    """First order: on a nearly linear loss the estimate is close to the true change."""
    model = models.mlp()
    x, y = models.make_inputs(model, 8), models.make_labels(8)
    model.get_layer("head").set_weights(
        [w * 0.01 for w in model.get_layer("head").get_weights()]
    )
    model.get_layer("dense_2").activation = keras.activations.linear
    network, locks = _with_locks(model, ["dense_2"])
    layer = network.get_layer("dense_2")
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="none")
    before = np.asarray(loss(y, network(x)))
    (scores,) = rank_neurons(network, locks, x, y, loss=LOSS).values()
    for c in range(3):
        kernel, bias = layer.get_weights()
        closed = kernel.copy(), bias.copy()
        closed[0][:, c], closed[1][c] = 0, 0
        layer.set_weights(closed)
        true = np.abs(np.asarray(loss(y, network(x))) - before).sum()
        layer.set_weights([kernel, bias])
        np.testing.assert_allclose(scores[c], true, rtol=0.05)


@pytest.mark.parametrize("labels", [True, False])
def test_batches_do_not_change_the_ranking(labels: bool) -> None:
    model = models.cnn()
    x = models.make_inputs(model, 10)
    y = models.make_labels(10) if labels else None
    network, locks = _with_locks(model, ["conv_1"])
    one, many = (
        rank_neurons(network, locks, x, y, loss=LOSS, batch_size=size)
        for size in (10, 3)
    )
    np.testing.assert_allclose(one["conv_1_lock"], many["conv_1_lock"], rtol=1e-4)


def test_lock_layers_of_nested_and_shared_models_are_ranked() -> None:
    model = models.nested()
    x, y = models.make_inputs(model), models.make_labels()
    scores = rank_neurons(*_with_locks(model), x, y, loss=LOSS)
    assert scores["conv_lock"].shape == (6,) and scores["dense_lock"].shape == (8,)
    assert all(np.any(score > 0) for score in scores.values())


def test_sequential_models_are_ranked() -> None:
    model = models.sequential()
    samples = models.make_inputs(model), models.make_labels()
    assert _choose(model, "dense", 0.5, samples).shape == (4,)


def test_random_choice_is_secret_unless_seeded() -> None:
    model = models.mlp()

    def choose(seed: int | None) -> list[int]:
        config = LockConfig(fraction=0.5)
        locked = lock_model(model, config=config, layers=["dense_1"], seed=seed)
        return locks_of(locked)["dense_1"].authorization_neurons.tolist()

    assert choose(1) == choose(1)
    assert len({tuple(choose(None)) for _ in range(20)}) > 1
    assert {c for _ in range(40) for c in choose(None)} == set(range(12))


@pytest.mark.parametrize(
    ("channels", "fraction", "count"),
    [(10, 0.1, 1), (4, 0.1, 1), (10, 0, 0), (10, 1, 9), (1, 0.5, 0), (64, 0.25, 16)],
)
def test_at_least_one_and_never_all(channels: int, fraction: float, count: int) -> None:
    assert count_neurons(channels, fraction) == count


def test_refusals() -> None:
    model = models.nested()
    with pytest.raises(LockError, match="'importance' with samples"):
        _choose(model, "dense", 0.1, None)
    samples = models.make_inputs(model), models.make_labels()
    config = LockConfig(selection="importance")
    with pytest.raises(LockError, match="expected a loss, got none"):
        lock_model(model, config=config, samples=samples)


def test_several_outputs_are_ranked_by_the_losses_of_all() -> None:
    """Neuron 0 decides the class; only the number beside it depends on neuron 5."""
    planted, (x, y) = _planted(), _samples()
    hidden, classes = planted.get_layer("hidden").output, planted.output
    number = keras.layers.Dense(1, name="number")
    model = keras.Model(planted.input, {"class": classes, "number": number(hidden)})
    number.set_weights([np.eye(6, dtype=np.float32)[:, 5:], np.zeros(1)])
    losses = {"class": LOSS, "number": "mse"}
    config = LockConfig(fraction=0.4, selection="importance")
    locked = lock_model(
        model,
        config=config,
        layers=["hidden"],
        samples=(x, {"class": y, "number": np.zeros((64, 1), np.float32)}),
        loss=losses,
    )
    chosen = locks_of(locked)["hidden"].authorization_neurons
    np.testing.assert_array_equal(chosen, [0, 5])


@pytest.mark.parametrize(
    ("labels", "loss", "words"),
    [
        (_samples()[1], {"other": LOSS}, "got: Expected keys"),
        (
            {"other": _samples()[1]},
            {"class": LOSS, "number": "mse"},
            "fit the loss, got",
        ),
        (np.zeros((64, 3)), "mse", r"Incompatible shapes: \[64,3\] vs. \[64,2\]"),
    ],
)
def test_labels_and_losses_of_other_names_or_shapes_are_refused(
    labels: object, loss: object, words: str
) -> None:
    planted = _planted()
    number = keras.layers.Dense(1)(planted.get_layer("hidden").output)
    if isinstance(labels, dict):
        planted = keras.Model(
            planted.input, {"class": planted.output, "number": number}
        )
    with pytest.raises(LockError, match=words):
        rank_neurons(
            *_with_locks(planted, ["hidden"]), _samples()[0], labels, loss=loss
        )


def test_a_dataset_gives_a_batch() -> None:
    data = tf.data.Dataset.from_tensor_slices(_samples()).batch(64)
    with pytest.raises(LockError, match=r"got .*BatchDataset. Of .* next\(iter\("):
        _choose(_planted(), "hidden", 0.2, data)
    chosen = _choose(_planted(), "hidden", 0.2, next(iter(data)))
    np.testing.assert_array_equal(chosen, [0])


@pytest.mark.parametrize("axis", [(), (1,)])
def test_one_unit_takes_its_labels_with_and_without_an_axis(axis: tuple) -> None:
    x, y = _samples()
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(6, "relu", name="hidden"),
         keras.layers.Dense(1, "sigmoid")]
    )  # fmt: skip
    labels = y.reshape(-1, *axis)
    scores = rank_neurons(*_with_locks(model), x, labels, loss="binary_crossentropy")
    assert scores["hidden_lock"].shape == (6,)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(5), "expected as many labels as samples, got 5 and 64"),
        (np.full(64, 7), "a label value of 7 which is outside"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: np.ndarray, words: str) -> None:
    with pytest.raises(LockError, match=words) as caught:
        _choose(_planted(), "hidden", 0.2, (_samples()[0], labels))
    assert "Label values" not in str(caught.value)
