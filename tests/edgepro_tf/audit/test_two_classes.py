"""A classifier of one output unit is drawn, judged and audited as two classes."""

import dataclasses

import keras
import numpy as np
import pytest

from converters import convert_keras
from converters.agreement import Agreement, Correlation
from converters.pipeline import ProtectedModel
from edgepro_tf.audit.pair import audit_pair
from edgepro_tf.audit.scoring.accuracy import public_accuracy, restored_accuracy
from edgepro_tf.audit.target import make_target
from edgepro_tf.datasets import Dataset
from tests.edgepro_tf.audit.conftest import BUDGET, make_bench

TINY = dataclasses.replace(
    BUDGET, least_steps=40, most_steps=40, epochs=1, seeds=(0,), shares=(0.1,),
    wrong_locks=4, sign_rounds=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def halves(data: Dataset) -> Dataset:
    """The clusters in two classes, near and far along one direction."""
    y_train, y_test = (
        (x[:, 0] > 0).astype(np.int32) for x in (data.x_train, data.x_test)
    )
    return Dataset(data.x_train, y_train, data.x_test, y_test, "halves", 2)


def protect(data: Dataset, activation: str | None) -> tuple[ProtectedModel, float]:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1, activation=activation),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=activation is None)
    metric = keras.metrics.BinaryAccuracy(threshold=0.5 if activation else 0.0)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=[metric])
    model.fit(data.x_train, data.y_train, epochs=6, batch_size=32, verbose=0)
    expected = model.evaluate(data.x_test, data.y_test, verbose=0)[1]
    return convert_keras(model, samples=data.x_test), expected


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_an_audit_reads_one_output_unit_as_two_classes(
    halves: Dataset, activation: str | None
) -> None:
    protected, expected = protect(halves, activation)
    payload, test = protected.payload, (halves.x_test, halves.y_test)
    found = restored_accuracy(protected.public, payload, *test)
    assert found == pytest.approx(expected, abs=2e-3) and expected > 0.9
    target = make_target(protected.public, payload)
    bench = make_bench(target, halves)
    assert bench.accuracy(target.authorized) == pytest.approx(expected, abs=2e-3)
    released = public_accuracy(protected.public, *test)
    assert bench.accuracy(target.public) == pytest.approx(released, abs=2e-3)
    report = audit_pair(protected.public, payload, halves, budget=TINY)
    (advantage,) = report.advantages
    assert advantage.scratch > 0.7


def test_a_sigmoid_unit_is_drawn_by_chance(halves: Dataset) -> None:
    agreement = protect(halves, "sigmoid")[0].agreement
    assert isinstance(agreement, Agreement) and agreement.by_guess == 0.5
    # One draw in three is farther than this, all sixteen once in 10^8 times.
    assert agreement.excess < 0.12
    # It may be a value.
    assert isinstance(protect(halves, None)[0].agreement, Correlation)
