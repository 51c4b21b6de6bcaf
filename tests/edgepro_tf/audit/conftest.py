"""A small network on clusters, which every audit test attacks."""

import dataclasses

import keras
import numpy as np
import pytest

from converters import convert_keras
from converters.recipe import Recipe
from edgepro_tf.audit.budget import QUICK
from edgepro_tf.audit.target import Target, make_target
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.datasets import Dataset
from edgepro_tf.locks import Step

BUDGET = dataclasses.replace(
    QUICK, least_steps=150, rates=(1e-2,), seeds=(0, 1), shares=(0.02,),
    search_rows=24, wrong_locks=20, unlabelled=64,
)  # fmt: skip


@pytest.fixture(scope="package")
def data() -> Dataset:
    """Five overlapping classes, each two clusters in 12 dimensions."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 12)) * 1.4
    group = rng.integers(0, 10, 2400)
    x = (centres[group] + rng.normal(size=(2400, 12))).astype(np.float32)
    y = (group % 5).astype(np.int32)
    return Dataset(x[:1800], y[:1800], x[1800:], y[1800:], "clusters", 5)


@pytest.fixture(scope="package")
def model(data: Dataset) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data.x_train, data.y_train, epochs=20, batch_size=32, verbose=0)
    return model


@pytest.fixture(scope="package")
def standard(model: keras.Model, data: Dataset) -> Target:
    return lock(model, data, "standard")


@pytest.fixture(scope="package")
def unlocked(model: keras.Model, data: Dataset) -> Target:
    """A target whose weights ship as they are; tests lock parts of it."""
    biases = Recipe("biases", Step(0), Step(0), Step.SHUFFLE, Step(0))
    target = lock(model, data, biases)
    return with_public(target, target.authorized, (Step(0),) * len(target.steps))


def lock(
    model: keras.Model,
    data: Dataset,
    recipe: str | Recipe,
    number_format: str = "float32",
) -> Target:
    pair = convert_keras(
        model, recipe=recipe, samples=data.x_train[:64], number_format=number_format
    )
    return make_target(pair.public, pair.payload)


def with_public(target: Target, values: list, steps: tuple) -> Target:  # type: ignore[type-arg]
    """The same network with other public values, said to be locked by some steps."""
    network = dataclasses.replace(target.network, values=tuple(values))
    mine = list(target.authorized)
    return dataclasses.replace(
        target, network=network, steps=steps, authorized=mine, orders=[]
    )


def relock_layer(target: Target, layer: int, public: np.ndarray, step: Step) -> Target:
    """One filter locked, everything else open."""
    i = target.network.linears[layer].filter
    values, steps = list(target.authorized), [Step(0)] * len(target.steps)
    values[i], steps[i] = public.astype(np.float32), step
    return with_public(target, values, tuple(steps))


def make_bench(target: Target, data: Dataset, **budget: object) -> Bench:
    spends = dataclasses.replace(BUDGET, **budget)  # type: ignore[arg-type]
    return Bench(target, spends, data.x_train, data.y_train, data.x_test, data.y_test)
