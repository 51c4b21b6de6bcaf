"""Which neurons are selected, on networks whose right answer is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edgepro_tf.errors import LockError
from edgepro_tf.locking import lock_model
from edgepro_tf.selection import count_neurons, rank_neurons, select_neurons
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


def test_taylor_finds_the_neuron_that_matters_even_channel_0() -> None:
    x, y = _samples()
    chosen = select_neurons(_planted(), x, y, layer="hidden", fraction=0.2, loss=LOSS)
    np.testing.assert_array_equal(chosen, [0])
    assert chosen.dtype == np.int64


def test_without_labels_the_loudest_neuron_ranks_first() -> None:
    x, _ = _samples()
    chosen = select_neurons(_planted(), x, layer="hidden", fraction=0.2)
    np.testing.assert_array_equal(chosen, [5])


def test_the_other_end_of_the_ranking() -> None:
    x, y = _samples()
    chosen = select_neurons(
        _planted(), x, y, layer="hidden", fraction=0.8, prefer="unimportant", loss=LOSS
    )
    np.testing.assert_array_equal(chosen, [1, 2, 3, 4, 5])


def test_taylor_estimates_what_setting_a_channel_to_zero_costs() -> None:
    """First order: on a nearly linear loss the estimate is close to the true change."""
    model = models.mlp()
    x, y = models.make_inputs(model, 8), models.make_labels(8)
    model.get_layer("head").set_weights(
        [w * 0.01 for w in model.get_layer("head").get_weights()]
    )
    layer = model.get_layer("dense_2")
    layer.activation = keras.activations.linear
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="none")
    before = np.asarray(loss(y, model(x)))
    scores = rank_neurons(model, x, y, layers=["dense_2"], loss=LOSS)["dense_2"]
    for c in range(3):
        kernel, bias = layer.get_weights()
        closed = kernel.copy(), bias.copy()
        closed[0][:, c], closed[1][c] = 0, 0
        layer.set_weights(closed)
        true = np.abs(np.asarray(loss(y, model(x))) - before).sum()
        layer.set_weights([kernel, bias])
        np.testing.assert_allclose(scores[c], true, rtol=0.05)


@pytest.mark.parametrize("labels", [True, False])
def test_batches_do_not_change_the_ranking(labels: bool) -> None:
    model = models.cnn()
    x = models.make_inputs(model, 10)
    y = models.make_labels(10) if labels else None
    one, many = (
        rank_neurons(model, x, y, layers=["conv_1"], loss=LOSS, batch_size=size)
        for size in (10, 3)
    )
    np.testing.assert_allclose(one["conv_1"], many["conv_1"], rtol=1e-4)


def test_lock_layers_of_nested_and_shared_models_are_ranked() -> None:
    model = models.nested()
    network = lock_model(model, seed=0).network
    x, y = models.make_inputs(model), models.make_labels()
    names = ["conv_lock", "dense_lock"]
    scores = rank_neurons(network, x, y, layers=names, loss=LOSS)
    assert scores["conv_lock"].shape == (6,) and scores["dense_lock"].shape == (8,)
    assert all(np.any(score > 0) for score in scores.values())


def test_sequential_models_are_ranked() -> None:
    model = models.sequential()
    x, y = models.make_inputs(model), models.make_labels()
    chosen = select_neurons(model, x, y, layer="dense", fraction=0.5, loss=LOSS)
    assert chosen.shape == (4,)


def test_random_choice_is_secret_unless_seeded() -> None:
    model = models.mlp()

    def choose(seed: int | None) -> list[int]:
        return select_neurons(
            model, layer="dense_1", fraction=0.5, method="random", seed=seed
        ).tolist()

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
    x, y = models.make_inputs(model), models.make_labels()
    with pytest.raises(LockError, match="expected training samples"):
        select_neurons(model, layer="dense", fraction=0.1)
    with pytest.raises(LockError, match="expected one loss"):
        select_neurons(model, x, y, layer="dense", fraction=0.1)
    with pytest.raises(LockError, match="lock_model ranks layers of nested"):
        select_neurons(model, x, layer="conv", fraction=0.1)
    with pytest.raises(LockError, match="none of that name"):
        select_neurons(model, layer="pool", fraction=0.1, method="random")
    with pytest.raises(LockError, match="importance or random"):
        select_neurons(model, layer="dense", fraction=0.1, method="magic")


@pytest.mark.parametrize("axis", [(), (1,)])
def test_one_unit_takes_its_labels_with_and_without_an_axis(axis: tuple) -> None:
    x, y = _samples()
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(6, "relu", name="hidden"),
         keras.layers.Dense(1, "sigmoid")]
    )  # fmt: skip
    scores = rank_neurons(
        model, x, y.reshape(-1, *axis), layers=["hidden"], loss="binary_crossentropy"
    )
    assert scores["hidden"].shape == (6,)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(5), "expected as many labels as samples, got 5 and 64"),
        (np.full(64, 7), "a label value of 7 which is outside"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: np.ndarray, words: str) -> None:
    with pytest.raises(LockError, match=words) as caught:
        select_neurons(
            _planted(), _samples()[0], labels, layer="hidden", fraction=0.2, loss=LOSS
        )
    assert "Label values" not in str(caught.value)
