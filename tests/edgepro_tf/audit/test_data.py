"""Data that an audit can and cannot judge a network by."""

import dataclasses

import keras
import numpy as np
import pytest

from converters import convert_keras
from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.audit.attacks import all_attacks
from edgepro_tf.audit.network.answers import check_answers
from edgepro_tf.audit.network.importer import import_model
from edgepro_tf.audit.pair import audit_pair
from edgepro_tf.audit.target import Target
from edgepro_tf.datasets import Dataset
from edgepro_tf.errors import ConversionError, InterpreterError
from tests.edgepro_tf.audit.conftest import BUDGET, make_bench

SCRATCH = [attack for attack in all_attacks() if attack.name == "scratch"]


def audit(model: keras.Model, data: Dataset, **options: object):  # type: ignore[no-untyped-def]
    pair = convert_keras(model, samples=data.x_test[:4])
    options = {"budget": BUDGET, "attacks": SCRATCH} | options
    return audit_pair(pair.public, pair.payload, data, **options)  # type: ignore[arg-type]


def test_a_network_that_does_not_answer_the_data_is_refused(
    model: keras.Model, data: Dataset
) -> None:
    unscaled = dataclasses.replace(
        data, x_train=0 * data.x_train, x_test=0 * data.x_test
    )
    with pytest.raises(ConversionError, match=r"to answer this data.*Scale inputs"):
        audit(model, unscaled)
    assert audit(model, unscaled, is_control=True).advantages
    alone = data.y_test == data.y_test[0]
    uneven = dataclasses.replace(
        data, x_test=data.x_test[alone], y_test=data.y_test[alone]
    )
    with pytest.raises(ConversionError, match="as many examples of each class"):
        audit(model, uneven)


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: y + 1,
        lambda y: y - 1,
        lambda y: y / 2,
        lambda y: np.eye(5, dtype=int)[y],
    ],
)
def test_labels_that_are_no_classes_of_the_network_are_refused(
    model: keras.Model,
    data: Dataset,
    labels,  # type: ignore[no-untyped-def]
) -> None:
    other = dataclasses.replace(
        data, y_train=labels(data.y_train), y_test=labels(data.y_test)
    )
    with pytest.raises(InterpreterError, match="class numbers from 0 to 4, got"):
        audit(model, other)
    with pytest.raises(ValueError, match="'scratch'"):
        audit(model, data, attacks=())


def test_test_examples_come_from_all_over_a_sorted_set(
    standard: Target, data: Dataset
) -> None:
    order = np.argsort(data.y_test, kind="stable")
    ordered = dataclasses.replace(
        data, x_test=data.x_test[order], y_test=data.y_test[order]
    )
    bench = make_bench(standard, ordered, test_examples=100)
    assert len(bench.y_test) == 100 and set(bench.y_test) == set(range(5))
    picked = BUDGET.pick_test(10_000)
    assert len(picked) == BUDGET.test_examples and np.all(np.diff(picked) > 0)


def test_the_report_counts_the_examples_that_were_used(
    model: keras.Model, data: Dataset
) -> None:
    budget = dataclasses.replace(BUDGET, test_examples=100)
    report = audit(model, data, budget=budget)
    assert report.facts["test_examples"] == 100 and "100" in " ".join(report.cautions)


def test_a_thief_may_have_labels_for_everything(
    standard: Target, data: Dataset
) -> None:
    few = dataclasses.replace(data, x_train=data.x_train[:4], y_train=data.y_train[:4])
    thief = make_bench(standard, few).thief(0.02, 0)
    assert len(thief.x) == len(thief.pool) == 4


def test_classes_that_are_tested_alone_are_counted(
    standard: Target, data: Dataset
) -> None:
    is_known = data.y_train < 3
    few = dataclasses.replace(
        data, x_train=data.x_train[is_known], y_train=data.y_train[is_known]
    )
    assert make_bench(standard, few).count_unseen() == 2
    assert make_bench(standard, data).count_unseen() == 0


def test_a_network_of_a_fixed_batch_is_asked_by_it() -> None:
    x = keras.Input((6,), batch_size=8)
    y = keras.layers.Dense(5, activation="relu")(x)
    model = keras.Model(x, keras.layers.Dense(3)(y))
    content = export_keras(model, ExportOptions())
    network = import_model(content)
    check_answers(network, list(network.values), content)
