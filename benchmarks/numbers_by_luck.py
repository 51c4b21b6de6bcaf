r"""What public files of models that answer with numbers give away by luck.

python -m benchmarks.numbers_by_luck --networks angle diabetes --draws 200

Draws of the lock without real inputs and with some: how much of the test set's labels,
and of the model's own answers to it, the public file alone explains by R2, once a gain
and a shift have been fitted to each number (decision 0007). Labels fit them on the test
set itself, which a thief has not.

angle      scikit-learn's digits, each turned: by how much (``benchmarks.regression``)
diabetes   scikit-learn's diabetes: ten columns, one number; a dense network
points     the turned digits: sine and cosine of the angle, and how bright
embedding  digits: eight numbers in the middle of an autoencoder; they have no labels
image      digits: 8 x 8 pixels of a noisy one, made clean by convolutions
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.regression import train_network, turn_digits
from edgepro_tf.datasets import Dataset, load_dataset

if TYPE_CHECKING:
    import keras

_MOST_SAMPLES = 1000
_NOISE = 0.3


def main() -> None:
    args = _parse()
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    print(f"{'':12}{'drawn':8}{'of':10}{'mean':>8}{'9 of 10':>8}{'worst':>8}{'s':>8}")
    for name in args.networks:
        data, model = NETWORKS[name]()
        for is_drawn, draws in ((False, args.draws), (True, args.conversions)):
            found, seconds = measure_draws(model, data, draws, is_drawn=is_drawn)
            for of, values in found.items():
                figures = values.mean(), np.quantile(values, 0.9), values.max()
                print(
                    f"{name:12}{'by luck' if not is_drawn else 'again':8}{of:10}"
                    + "".join(f"{value:8.1%}" for value in figures)
                    + f"{seconds:8.2f}",
                    flush=True,
                )


def measure_draws(
    model: keras.Model, data: Dataset, draws: int, *, is_drawn: bool
) -> tuple[dict[str, np.ndarray], float]:
    """R2 [draws] by what it is of, and the mean seconds of locking.

    Args:
        model: trained.
        data: the first thousand training samples tell a draw; labels of the test set.
        draws: locks of this many seeds.
        is_drawn: whether draws by luck are rejected.
    """
    from converters import lock_tflite
    from converters.agreement import correlate
    from converters.keras_export import ExportOptions, export_keras

    content = export_keras(model, ExportOptions())
    own = _answer(content, data.x_test)
    truths = {"model": own}
    if data.y_test.shape == own.shape:
        truths["labels"] = data.y_test
    found: dict[str, list[float]] = {of: [] for of in truths}
    seconds = 0.0
    for _ in range(draws):
        started = time.perf_counter()
        samples = data.x_train[: _MOST_SAMPLES if is_drawn else 4]
        public = lock_tflite(content, samples=samples).public
        seconds += (time.perf_counter() - started) / draws
        answers = _answer(public, data.x_test).reshape(len(own), -1)
        for of, truth in truths.items():
            flat = truth.reshape(len(own), -1)
            found[of].append(correlate(answers, flat).explained)
    return {of: np.array(values) for of, values in found.items()}, seconds


def make_angle() -> tuple[Dataset, keras.Model]:
    data = turn_digits()
    return data, train_network(data, "standard")


def make_diabetes() -> tuple[Dataset, keras.Model]:
    import keras
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x / x.std(0))[order], ((y - y.mean()) / y.std())[order, None]
    x, y, half = x.astype(np.float32), y.astype(np.float32), len(x) * 3 // 4
    data = Dataset(x[:half], y[:half], x[half:], y[half:], "diabetes", 0)
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(32, activation="relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((10,)), *layers, keras.layers.Dense(1)])
    return data, _fit(model, data, epochs=30)


def make_points() -> tuple[Dataset, keras.Model]:
    import keras

    turned, layers = turn_digits(), keras.layers
    labels = [
        np.c_[np.sin(angle), np.cos(angle), x.mean((1, 2))].astype(np.float32)
        for x, angle in (
            (turned.x_train, turned.y_train),
            (turned.x_test, turned.y_test),
        )
    ]
    deviation = labels[0].std(0)
    data = Dataset(
        turned.x_train, labels[0] / deviation, turned.x_test, labels[1] / deviation,
        "turned digits, three numbers", 0,
    )  # fmt: skip
    keras.utils.set_random_seed(0)
    image = keras.Input(data.input_shape)
    hidden = layers.Flatten()(layers.Conv2D(16, 3, activation="relu")(image))
    model = keras.Model(image, layers.Dense(3)(layers.Dense(32, "relu")(hidden)))
    return data, _fit(model, data, epochs=30)


def make_embedding() -> tuple[Dataset, keras.Model]:
    import keras

    layers, digits = keras.layers, load_dataset("digits")
    keras.utils.set_random_seed(0)
    image = keras.Input(digits.x_train.shape[1:])
    hidden = layers.Dense(64, activation="relu")(layers.Flatten()(image))
    code = layers.Dense(8)(hidden)
    hidden = layers.Dense(64, activation="relu")(code)
    again = layers.Reshape(image.shape[1:])(layers.Dense(64)(hidden))
    whole = keras.Model(image, again)
    x = digits.x_train, digits.x_test
    _fit(whole, Dataset(x[0], x[0], x[1], x[1], "digits", 0), epochs=40)
    return digits, keras.Model(image, code)


def make_image() -> tuple[Dataset, keras.Model]:
    import keras

    layers, digits = keras.layers, load_dataset("digits")
    rng = np.random.default_rng(0)
    noisy = [
        (x + rng.normal(0, _NOISE, x.shape)).astype(np.float32)
        for x in (digits.x_train, digits.x_test)
    ]
    data = Dataset(noisy[0], digits.x_train, noisy[1], digits.x_test, "noisy digits", 0)
    keras.utils.set_random_seed(0)
    image = keras.Input(noisy[0].shape[1:])
    hidden = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    hidden = layers.Conv2D(16, 3, padding="same", activation="relu")(hidden)
    model = keras.Model(image, layers.Conv2D(1, 3, padding="same")(hidden))
    return data, _fit(model, data, epochs=15)


NETWORKS: dict[str, Callable[[], tuple[Dataset, keras.Model]]] = {
    "angle": make_angle,
    "diabetes": make_diabetes,
    "points": make_points,
    "embedding": make_embedding,
    "image": make_image,
}


def _fit(model: keras.Model, data: Dataset, *, epochs: int) -> keras.Model:
    model.compile("adam", "mse")
    model.fit(data.x_train, data.y_train, epochs=epochs, batch_size=32, verbose=0)
    return model


def _answer(content: bytes, x: np.ndarray) -> np.ndarray:
    from edgepro_tf.runtime.interpreters import make_interpreter
    from edgepro_tf.runtime.running import input_details, run_model

    interpreter = make_interpreter(content)
    interpreter.allocate_tensors()
    (name,) = input_details(interpreter)
    (answers,) = run_model(interpreter, {name: x}).values()
    return answers


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS], choices=NETWORKS)
    parser.add_argument("--draws", type=int, default=200, help="blind ones")
    parser.add_argument("--conversions", type=int, default=25, help="with real inputs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
