"""Lock, strip and fold over every topology of tests/models.py."""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgepro_tf.errors import LockError
from edgepro_tf.layers import NeuronLock
from edgepro_tf.locking import (
    LockConfig,
    fold_lock,
    is_locked,
    lock_model,
    locks_of,
    network_of,
    strip_lock,
)
from tests import models

# Both sides do the same additions and multiplications but for one rounding per layer
# (s * beta + o before or after the sum): with tens of terms per sum, three layers deep
# and probabilities at the end, 32 float32 roundings bound the difference.
TOLERANCE = 32 * np.finfo(np.float32).eps

every_topology = pytest.mark.parametrize("name", models.TOPOLOGIES)


def _flat(outputs: object) -> list[np.ndarray]:
    return [np.asarray(value) for value in keras.tree.flatten(outputs)]


def _run(model: keras.Model, inputs: object, **kwargs: object) -> list[np.ndarray]:
    return _flat(model(inputs, training=False, **kwargs))


def _structure(model: keras.Model) -> object:
    config = model.get_config()
    keras_only = keras.saving.serialize_keras_object(config)
    return _without(keras_only, {"registered_name", "build_config"})


def _without(value: object, keys: set[str]) -> object:
    if isinstance(value, dict):
        return {k: _without(v, keys) for k, v in value.items() if k not in keys}
    if isinstance(value, (list, tuple)):
        return [_without(each, keys) for each in value]
    return value


@every_topology
@pytest.mark.parametrize("preset", ["default", models.EVERY_PART])
def test_fold_computes_what_the_authorized_run_computes(
    name: str, preset: str | LockConfig
) -> None:
    model = models.TOPOLOGIES[name]()
    locked = lock_model(model, config=preset, seed=3)
    x = models.make_inputs(model)
    authorized, folded = _run(locked, x), _run(fold_lock(locked), x)
    for one, other in zip(authorized, folded, strict=True):
        np.testing.assert_allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)
    # The lock does something: else the comparison says nothing.
    assert np.abs(authorized[0] - _run(model, x)[0]).max() > 1e-3


@every_topology
def test_strip_and_released_run_are_the_model_itself(name: str) -> None:
    model = models.TOPOLOGIES[name]()
    locked = lock_model(model, config=models.EVERY_PART, seed=3)
    x = models.make_inputs(model)
    for stripped, released, own in zip(
        _run(strip_lock(locked), x),
        _run(locked, x, authorized=False),
        _run(model, x),
        strict=True,
    ):
        np.testing.assert_array_equal(released, own)
        np.testing.assert_allclose(stripped, own, rtol=TOLERANCE, atol=TOLERANCE)


@every_topology
def test_strip_and_fold_have_one_structure(name: str) -> None:
    locked = lock_model(models.TOPOLOGIES[name](), config=models.EVERY_PART, seed=3)
    stripped, folded = strip_lock(locked), fold_lock(locked)
    assert _structure(stripped) == _structure(folded)
    assert [w.shape for w in stripped.weights] == [w.shape for w in folded.weights]
    assert not is_locked(stripped) and not is_locked(folded)


@every_topology
def test_the_users_structure_comes_back(name: str) -> None:
    model = models.TOPOLOGIES[name]()
    config = LockConfig(fraction=0.2, exponent_range=2, order=True)
    stripped = strip_lock(lock_model(model, config=config, seed=1))
    assert type(stripped) is type(model)
    assert _structure(stripped) == _structure(model)
    for own, back in zip(model.get_weights(), stripped.get_weights(), strict=True):
        np.testing.assert_array_equal(own, back)


@every_topology
def test_the_callers_model_stays_as_it_is(name: str) -> None:
    model = models.TOPOLOGIES[name]()
    before, structure = models.weights_of(model), _structure(model)
    nodes = [len(layer._outbound_nodes) for layer in model.layers]
    locked = lock_model(model, config=models.EVERY_PART, seed=3)
    for weight in locked.trainable_weights:
        weight.assign(weight * 0 + 9)
    fold_lock(locked)
    assert structure == _structure(model)
    assert nodes == [len(layer._outbound_nodes) for layer in model.layers]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@every_topology
def test_locks_are_found_under_the_paths_of_their_layers(name: str) -> None:
    model = models.TOPOLOGIES[name]()
    locked = lock_model(model, config=models.EVERY_PART, seed=3)
    folded = fold_lock(locked)
    for path, lock in locks_of(locked).items():
        layer = folded
        for part in path.split("/"):
            layer = layer.get_layer(part)
        assert lock.channels in layer.get_weights()[-1].shape
    heads = {"head", "flags"}
    assert not heads & set(locks_of(locked))


def test_authorization_neurons_fold_to_exact_constants() -> None:
    model = models.cnn()
    config = LockConfig(fraction=0.3, locking_value=0.75)
    locked = lock_model(model, config=config, seed=2)
    folded = fold_lock(locked)
    for name, lock in locks_of(locked).items():
        neurons = lock.authorization_neurons
        assert neurons.size
        weights = folded.get_layer(name).get_weights()
        kernel = weights[0][..., neurons]
        assert not kernel.any() and not np.signbit(kernel).any()
        if name == "dense":
            np.testing.assert_array_equal(weights[1][neurons], np.float32(0.75))
            continue
        gamma, beta, mean, variance = folded.get_layer(f"{name}_bn").get_weights()
        np.testing.assert_array_equal(gamma[neurons], 1)
        np.testing.assert_array_equal(beta[neurons], np.float32(0.75))
        np.testing.assert_array_equal(mean[neurons], 0)
        np.testing.assert_array_equal(variance[neurons], 1)
    np.testing.assert_array_equal(
        folded.get_layer("conv_2").get_weights()[1][
            locks_of(locked)["conv_2"].authorization_neurons
        ],
        0,
    )


def test_the_lock_stands_after_a_norm_of_its_own_and_before_the_activation() -> None:
    network = network_of(lock_model(models.cnn(), seed=0))
    locks = [each for each in network.layers if isinstance(each, NeuronLock)]
    assert [(lock.linear, lock.norm, lock.activation) for lock in locks] == [
        ("conv_1", "conv_1_bn", None),
        ("conv_2", "conv_2_bn", None),
        ("dense", None, "dense_activation"),
    ]


def test_a_norm_with_two_sources_stays_behind_the_lock() -> None:
    inputs = keras.Input((5,))
    norm = keras.layers.BatchNormalization(name="bn")
    a, b = (keras.layers.Dense(4, name=n)(inputs) for n in "ab")
    x = keras.layers.Add()([norm(a), norm(b)])
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x))
    network = network_of(lock_model(model, seed=0))
    locks = [each for each in network.layers if isinstance(each, NeuronLock)]
    assert {(lock.linear, lock.norm) for lock in locks} == {("a", None), ("b", None)}


def test_named_layers_only_the_head_included() -> None:
    locked = lock_model(models.mlp(), layers=["dense_2", "head"], seed=0)
    assert set(locks_of(locked)) == {"dense_2", "head"}
    x = models.make_inputs(models.mlp())
    np.testing.assert_allclose(
        _run(fold_lock(locked), x)[0], _run(locked, x)[0], TOLERANCE, TOLERANCE
    )


def test_an_order_stays_within_what_can_fold() -> None:
    config = LockConfig(fraction=0, signs=False, order=True)
    locks = locks_of(lock_model(models.depthwise(), config=config, seed=5))
    assert not locks["depthwise_2"].has_order
    np.testing.assert_array_equal(locks["depthwise_1"].order // 2, [0, 0, 1, 1])
    np.testing.assert_array_equal(locks["grouped"].order // 2, [0, 0, 1, 1])
    assert locks["separable"].has_order


def test_parts_that_are_off_are_off() -> None:
    lock = locks_of(lock_model(models.mlp(), config=LockConfig(signs=False), seed=1))
    for each in lock.values():
        assert set(each.scale) <= {0.0, 1.0}
        assert not each.has_order and not each.offset.any()
        assert each.authorization_neurons.size == 1


def test_the_secret_differs_each_time_and_repeats_with_a_seed() -> None:
    def drawn(seed: int | None) -> np.ndarray:
        locks = locks_of(lock_model(models.mlp(), config=models.EVERY_PART, seed=seed))
        return np.concatenate([each.offset for each in locks.values()])

    assert np.array_equal(drawn(4), drawn(4))
    assert not np.array_equal(drawn(4), drawn(5))
    assert not np.array_equal(drawn(None), drawn(None))


def test_a_model_compiled_with_the_users_own_function_can_be_locked() -> None:
    model = models.mlp()
    model.compile("adam", lambda y, p: keras.ops.mean(p, axis=-1))
    assert is_locked(lock_model(model, seed=0))


def test_layers_with_state_of_their_own_are_carried_over() -> None:
    normalization = keras.layers.Normalization(name="normalization")
    normalization.adapt(np.random.default_rng(0).normal(3, 2, (50, 5)))
    inputs = keras.Input((5,))
    x = keras.layers.Dense(6, activation="relu")(normalization(inputs))
    x = keras.layers.Lambda(lambda value: value * 2)(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    stripped = strip_lock(lock_model(model, seed=0))
    x = models.make_inputs(model)
    np.testing.assert_allclose(stripped(x), model(x), rtol=1e-6)


@pytest.mark.parametrize(
    "lookup",
    [
        keras.layers.StringLookup(output_mode="multi_hot"),
        keras.layers.TextVectorization(12, output_mode="tf_idf"),
    ],
    ids=lambda layer: layer.name,
)
def test_adapted_vocabularies_are_carried_over(lookup: Any) -> None:
    lookup.adapt(np.array(["one two", "two three"]))
    inputs = keras.Input((1,), dtype="string")
    x = keras.layers.Dense(6, activation="relu")(lookup(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    stripped = strip_lock(lock_model(model, seed=0))
    texts = tf.constant([["one two"], ["two other"]])
    np.testing.assert_allclose(stripped(texts), model(texts), rtol=1e-6)


def _halve(value: object) -> object:
    return np.float32(0.5) * value


def test_functions_of_the_users_own_keep_the_names_that_they_read() -> None:
    """A config holds a lambda's code alone, and of a named function nothing."""
    inputs = keras.Input((5,))
    x = keras.layers.Dense(6, activation="relu")(inputs)
    x = keras.layers.Lambda(lambda value: _halve(value) + math.pi)(x)
    x = keras.layers.Lambda(_halve, dtype="float32")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    stripped = strip_lock(lock_model(model, seed=0))
    x = models.make_inputs(model)
    np.testing.assert_allclose(stripped(x), model(x), rtol=1e-6)


def test_a_layer_without_a_config_is_named() -> None:
    class Table(keras.layers.Layer):
        def __init__(self, rows: np.ndarray, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.rows = rows

        def call(self, x: Any) -> Any:
            return x @ self.rows

    inputs = keras.Input((5,))
    x = Table(np.eye(5, dtype=np.float32), name="table")(inputs)
    x = keras.layers.Dense(6, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    with pytest.raises(LockError, match=r"copy layer 'table'.* Give the class a get_"):
        lock_model(model, seed=0)


def test_paper_preset_ranks_training_samples() -> None:
    model = models.mlp()
    model.compile("adam", "sparse_categorical_crossentropy")
    samples = (models.make_inputs(model), models.make_labels())
    one, two = (
        locks_of(lock_model(model, config="paper", samples=samples)) for _ in range(2)
    )
    for path in one:
        neurons = one[path].authorization_neurons
        np.testing.assert_array_equal(neurons, two[path].authorization_neurons)


class _Subclassed(keras.Model):
    def call(self, inputs: object) -> object:
        return inputs


class _OwnDense(keras.layers.Dense):
    pass


class _OwnTraining(keras.Model):
    def train_step(self, data: object) -> object:
        return super().train_step(data)


def test_refusals_name_the_next_step() -> None:
    model = models.plain_cnn()
    with pytest.raises(LockError, match=r"got MaxPooling2D\. Move .* to 'conv_1'"):
        lock_model(model, layers=["pool_1"])
    with pytest.raises(LockError, match="Lockable layers: conv_1, conv_2, head"):
        lock_model(model, layers=["conv_9"])
    with pytest.raises(LockError, match="expected layers as a list of names"):
        lock_model(model, layers="conv_1")
    with pytest.raises(LockError, match="a call of its own"):
        lock_model(_Subclassed())
    with pytest.raises(LockError, match="without an input shape"):
        lock_model(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(LockError, match="strip_lock first"):
        lock_model(lock_model(model).network)
    with pytest.raises(LockError, match="strip_lock first"):
        lock_model(lock_model(model))
    with pytest.raises(LockError, match="without locks"):
        strip_lock(model)
    with pytest.raises(LockError, match="paper, default, rich"):
        lock_model(model, config="none")
    with pytest.raises(LockError, match="Pass samples"):
        lock_model(model, config="paper")
    with pytest.raises(LockError, match="fraction from 0 to 1"):
        lock_model(model, config=LockConfig(fraction=1.5))


def test_a_way_to_train_that_would_be_lost_is_named() -> None:
    plain = models.plain_cnn()
    own = _OwnTraining(plain.inputs, plain.outputs)
    with pytest.warns(UserWarning, match="train_step of _OwnTraining are not used"):
        lock_model(own)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        lock_model(plain)


def test_a_layer_that_may_compute_something_else_is_refused() -> None:
    inputs = keras.Input((5,))
    x = _OwnDense(4, name="own")(keras.layers.Dense(4, name="first")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x))
    with pytest.raises(LockError, match=r"got _OwnDense\. Move the lock to 'first'"):
        lock_model(model, layers=["own"])


def test_an_ambiguous_name_asks_for_the_path() -> None:
    def side(name: str) -> keras.Model:
        layers = [keras.Input((4,)), keras.layers.Dense(4, name="dense")]
        return keras.Sequential(layers, name=name)

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(side("b")(side("a")(inputs))))
    with pytest.raises(LockError, match="a/dense, b/dense"):
        lock_model(model, layers=["dense"])
    assert set(locks_of(lock_model(model, layers=["b/dense"]))) == {"b/dense"}


def test_no_repr_shows_the_secret() -> None:
    locked = lock_model(models.mlp(), config=models.EVERY_PART, seed=3)
    layer = next(v for v in locked.network.layers if isinstance(v, NeuronLock))
    text = repr(layer) + repr(locks_of(locked)) + str(layer.get_config())
    assert str(float(layer.read_lock().offset[0]))[:6] not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"fraction": 2},
        {"locking_value": math.nan},
        {"locking_value": (0.0, 1.0, 2.0)},
        {"exponent_range": 1.5},
        {"exponent_range": -1},
        {"offsets": -1.0},
        {"selection": "x", "fraction": 0},
        {"prefer": "importnat"},
        {"layers": "dense"},
        {"released_weight": math.nan},
        {"objective": "nothing"},
        {"authorized_share": 7},
        {"authorized_share": 0},
    ],
)
def test_a_config_of_nonsense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LockError, match="cannot make lock config: expected"):
        LockConfig(**changes)
