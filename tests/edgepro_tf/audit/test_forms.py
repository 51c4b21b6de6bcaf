"""Several inputs, several outputs, an answer at every place: judged and audited."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from converters import convert_keras, lock_tflite
from converters.pipeline import ProtectedModel
from edgepro_tf.audit.pair import audit_pair
from edgepro_tf.audit.scoring.accuracy import (
    fit_data,
    measure_accuracy,
    public_accuracy,
    restored_accuracy,
)
from edgepro_tf.audit.target import make_target
from edgepro_tf.audit.workbench.bases import read_base
from edgepro_tf.datasets import Dataset
from edgepro_tf.errors import ConversionError, InterpreterError
from edgepro_tf.inputs import join_inputs, split_inputs
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import output_details
from tests.crafted import Crafted
from tests.edgepro_tf.audit.conftest import BUDGET, make_bench

layers = keras.layers
TINY = dataclasses.replace(
    BUDGET, least_steps=60, most_steps=60, epochs=1, seeds=(0,), shares=(0.1,),
    wrong_locks=4, sign_rounds=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def pictures_with_numbers() -> Dataset:
    """The class is where the bright row of a picture is, and whether a number is big.

    The model asks for the inputs in another order.
    """
    rng = np.random.default_rng(0)
    row, big = rng.integers(0, 4, 900), rng.integers(0, 2, 900)
    picture = rng.normal(size=(900, 4, 4, 1)).astype(np.float32)
    picture[np.arange(900), row] += 2
    table = rng.normal(size=(900, 3)).astype(np.float32)
    table[:, 1] += 4 * big - 2
    x = join_inputs({"table": table, "picture": picture})
    y = (2 * row + big).astype(np.int32)
    return Dataset(x[:700], y[:700], x[700:], y[700:], "rows", 8)


@pytest.fixture(scope="module")
def two_inputs(pictures_with_numbers: Dataset) -> ProtectedModel:
    data = pictures_with_numbers
    keras.utils.set_random_seed(0)
    picture, table = (
        keras.Input((4, 4, 1), name="picture"),
        keras.Input((3,), name="table"),
    )
    seen = layers.Flatten()(
        layers.Conv2D(8, 3, activation="relu", padding="same")(picture)
    )
    known = layers.Dense(8, activation="relu")(table)
    both = layers.Dense(32, activation="relu")(layers.concatenate([seen, known]))
    outputs = {
        "kind": layers.Dense(8, activation="softmax", name="kind")(both),
        "size": layers.Dense(1, name="size")(layers.Dense(5, activation="relu")(both)),
    }
    model = keras.Model([picture, table], outputs)
    model.compile(
        keras.optimizers.Adam(1e-2),
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
    )
    labels = {"kind": data.y_train, "size": data.y_train.astype(np.float32) / 8}
    model.fit(split_inputs(data.x_train), labels, epochs=12, batch_size=32, verbose=0)
    return convert_keras(model)


def name_of(pair: ProtectedModel, units: int) -> str:
    details = output_details(make_interpreter(pair.public))
    (name,) = [n for n, detail in details.items() if detail["shape"][-1] == units]
    return name


def test_an_audit_feeds_two_inputs_and_reads_one_of_two_outputs(
    two_inputs: ProtectedModel, pictures_with_numbers: Dataset, tmp_path: Path
) -> None:
    kind = name_of(two_inputs, 8)
    interpreter = open_with_payload(two_inputs.public, two_inputs.payload)
    data = fit_data("m", interpreter, pictures_with_numbers, kind)
    test = data.x_test, data.y_test, kind
    right = measure_accuracy(interpreter, *test)
    assert right > 0.85
    target = make_target(two_inputs.public, two_inputs.payload, output=kind)
    assert len(target.network.linears) == 4  # The other output's two are left out.
    bench = make_bench(target, data)
    assert bench.accuracy(target.authorized) == pytest.approx(right, abs=6e-3)
    released = public_accuracy(two_inputs.public, *test)
    assert bench.accuracy(target.public) == pytest.approx(released, abs=6e-3)
    report = audit_pair(
        two_inputs.public, two_inputs.payload, pictures_with_numbers,
        output=kind, budget=TINY,
    )  # fmt: skip
    assert report.facts["authorized_accuracy"] == pytest.approx(right, abs=6e-3)
    (advantage,) = report.advantages
    assert advantage.scratch > 0.3
    (tmp_path / "base.tflite").write_bytes(two_inputs.authorized)
    base = read_base(target.network, tmp_path / "base.tflite", kind)
    heads = set(target.network.heads)
    for i, (own, known) in enumerate(zip(target.authorized, base, strict=True)):
        np.testing.assert_array_equal(known, own if i not in heads else 0 * own)


def test_an_output_is_named_where_there_are_several(
    two_inputs: ProtectedModel, pictures_with_numbers: Dataset
) -> None:
    pair, data = two_inputs, pictures_with_numbers
    with pytest.raises(InterpreterError, match=r"one of the outputs .* got several"):
        audit_pair(pair.public, pair.payload, data, budget=TINY)
    with pytest.raises(InterpreterError, match="got 'colour'"):
        audit_pair(pair.public, pair.payload, data, output="colour", budget=TINY)
    # Eight values for one unit: numbers. Two are classes, and have to be 0 and 1.
    fitted = fit_data("m", make_interpreter(pair.public), data, name_of(pair, 1))
    assert fitted.y_test.dtype == np.float32 and fitted.y_test.shape[1:] == (1,)
    labels = {"y_train": 1 + data.y_train % 2, "y_test": 1 + data.y_test % 2}
    two = dataclasses.replace(data, **labels)
    with pytest.raises(InterpreterError, match="numbers from 0 to 1, got"):
        fit_data("m", make_interpreter(pair.public), two, name_of(pair, 1))


def test_data_of_other_inputs_are_refused(
    two_inputs: ProtectedModel, pictures_with_numbers: Dataset
) -> None:
    data, interpreter = pictures_with_numbers, make_interpreter(two_inputs.public)
    kind = name_of(two_inputs, 8)
    for inputs, words in (
        (["picture"], "got one input in rows"),
        (["picture", "numbers"], "got picture, numbers in rows"),
    ):
        given = split_inputs(data.x_test)
        x = join_inputs({n: given.get(n, given["table"]) for n in inputs})
        other = dataclasses.replace(data, x_train=x, x_test=x)
        with pytest.raises(InterpreterError, match=words):
            fit_data("m", interpreter, other, kind)


@pytest.fixture(scope="module")
def masks() -> Dataset:
    """Pictures of noise, brighter inside a square, and which pixels those are."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 8, 8, 1)).astype(np.float32)
    y = np.zeros((500, 8, 8), np.int32)
    for i, (a, b) in enumerate(rng.integers(0, 5, (500, 2))):
        y[i, a : a + 4, b : b + 4] = 1 + (a + b) % 2
    x[..., 0] += 2 * (y == 1) - 2.0 * (y == 2)
    return Dataset(x[:400], y[:400], x[400:], y[400:], "squares", 3)


def make_u_net(units: int) -> keras.Model:
    """As small as it can be: audits take most of their time to compile it."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    down = layers.Conv2D(12, 1, activation="relu")(layers.MaxPool2D()(x))
    up = layers.Conv2DTranspose(8, 2, strides=2)(down)
    head = layers.Conv2D(units, 1, activation="softmax" if units > 1 else "sigmoid")
    return keras.Model(image, head(layers.concatenate([x, up])))


@pytest.mark.parametrize(("units", "number_format"), [(3, "float32"), (1, "int8")])
def test_an_audit_reads_an_answer_at_every_pixel(
    masks: Dataset, units: int, number_format: str
) -> None:
    data = masks
    if units == 1:
        y = [(labels == 1).astype(np.int32) for labels in (data.y_train, data.y_test)]
        data = dataclasses.replace(data, y_train=y[0], y_test=y[1], classes=2)
    model = make_u_net(units)
    loss = "sparse_categorical_crossentropy" if units > 1 else "binary_crossentropy"
    model.compile(keras.optimizers.Adam(1e-2), loss)
    labels = data.y_train if units > 1 else data.y_train[..., None]
    model.fit(data.x_train, labels, epochs=6, batch_size=16, verbose=0)
    pair = convert_keras(model, samples=data.x_test, number_format=number_format)
    right = restored_accuracy(pair.public, pair.payload, data.x_test, data.y_test)
    target = make_target(pair.public, pair.payload)
    bench = make_bench(target, data)
    assert bench.accuracy(target.authorized) == pytest.approx(right, abs=0.02)
    assert right > bench.chance + 0.1
    report = audit_pair(pair.public, pair.payload, data, budget=TINY)
    (advantage,) = report.advantages
    assert advantage.scratch > bench.chance - 0.02 and report.facts["chance"] < 0.9


def test_labels_of_other_places_are_refused(masks: Dataset) -> None:
    pair = convert_keras(make_u_net(3))
    lone = dataclasses.replace(masks, y_test=masks.y_test[:, 0, 0])
    with pytest.raises(InterpreterError, match=r"labels of shape \[count, 8, 8\]"):
        fit_data("m", make_interpreter(pair.public), lone)


def test_inputs_of_different_batches_are_refused() -> None:
    crafted = Crafted()
    left, right = crafted.add_tensor([1, 8]), crafted.add_tensor([2, 8])
    out = crafted.add_tensor([2, 3])
    both = crafted.add_tensor([2, 8])
    crafted.add_operator("ADD", [left, right], [both])
    crafted.add_operator(
        "FULLY_CONNECTED", [both, crafted.add_weights(3, 8), -1], [out]
    )
    pair = lock_tflite(crafted.finish([left, right], [out]))
    with pytest.raises(ConversionError, match="inputs of different batches"):
        make_target(pair.public, pair.payload)


def mean_of_heads(x: keras.KerasTensor) -> keras.KerasTensor:
    heads = [layers.Conv2D(1, 1, activation="sigmoid")(x) for _ in range(2)]
    return layers.Average()(heads)


HEADS = {
    "sigmoid, reshaped": lambda x: layers.Reshape((64, 1))(
        layers.Conv2D(1, 1, activation="sigmoid")(x)
    ),
    "softmax, reshaped": lambda x: layers.Reshape((64, 2))(
        layers.Conv2D(2, 1, activation="softmax")(x)
    ),
    "hard sigmoid": layers.Conv2D(1, 1, activation="hard_sigmoid"),
    "two heads": mean_of_heads,
    "logits": layers.Conv2D(1, 1),
}


@pytest.mark.parametrize("head", HEADS)
def test_an_audit_answers_as_the_model_whatever_makes_its_answers(
    masks: Dataset, head: str
) -> None:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    hidden = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    model = keras.Model(image, HEADS[head](hidden))
    places = model.output_shape[1:-1]
    y = [(y == 1).astype(np.int32).reshape(len(y), *places) for y in
         (masks.y_train, masks.y_test)]  # fmt: skip
    data = dataclasses.replace(masks, y_train=y[0], y_test=y[1], classes=2)
    loss: object = "sparse_categorical_crossentropy"
    if model.output_shape[-1] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=head == "logits")
    model.compile(keras.optimizers.Adam(1e-2), loss)
    one = model.output_shape[-1] == 1
    labels = [each[..., None] if one else each for each in y]
    model.fit(data.x_train, labels[0], epochs=6, verbose=0)
    pair = convert_keras(model, samples=data.x_test)
    right = restored_accuracy(pair.public, pair.payload, data.x_test, data.y_test)
    target = make_target(pair.public, pair.payload)
    bench = make_bench(target, data)
    assert bench.accuracy(target.authorized) == pytest.approx(right, abs=2e-3)
    assert right > bench.chance
    # A softmax of a softmax would have four times the loss.
    expected = model.evaluate(data.x_test[:64], labels[1][:64], verbose=0)
    few = bench.x_test[:64].numpy(), y[1][:64]
    loss_found, _ = bench.gradient(target.authorized, *few)
    assert loss_found == pytest.approx(expected, rel=0.2)
