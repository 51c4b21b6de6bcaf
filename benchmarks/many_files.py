r"""What many files of one network tell together, each of which answers by chance.

python -m benchmarks.many_files --files 1 3 8 16 32 --networks 3

A classifier of even and odd digits (twelve principal components, two dense layers) is
locked many times, once with real inputs, which reject draws by luck, and once without
(decision 0007). A thief has all of the files and inputs of his own. He knows that the
answers of a file that was drawn again do not go with the labels, whatever these are:
each file names a direction of the inputs in which no label lies. Without labels he
takes the direction that is farthest from all of those; with a few he fits a ridge
regression that keeps away from them. Accuracy on the test set; strengths, and without
labels which answer means yes, are the best on it.
"""

from __future__ import annotations

import argparse
import itertools
import os

import numpy as np

from edgepro_tf.datasets import Dataset, load_dataset

_COLUMNS = 12
_RIDGES, _STRENGTHS = (0.3, 1, 3, 10, 30), (10, 100, 1000)
_TRIES = 40  # Choices of the thief's labelled examples.


def main() -> None:
    args = _parse()
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    print(f"{'':9}{'files':>6}{'no label':>17}{f'{args.labels} labels':>17}")
    for drawn, is_drawn in (("again", True), ("blindly", False)):
        found = [
            measure_files(seed, args.files, args.labels, is_drawn=is_drawn)
            for seed in range(args.networks)
        ]
        for files in [0, *args.files]:
            values = np.array([each[files] for each in found]) * 100
            means, errors = values.mean(0), values.std(0, ddof=1) / len(values) ** 0.5
            print(
                f"{drawn:9}{files:6}"
                + "".join(
                    f"{m:9.1f} ± {e:.1f} %" for m, e in zip(means, errors, strict=True)
                ),
                flush=True,
            )


def measure_files(
    seed: int, counts: list[int], labels: int, *, is_drawn: bool
) -> dict[int, tuple[float, float]]:
    """Accuracy without labels and with some, by number of files; 0 for none.

    Args:
        seed: of the network and of its initial weights.
        counts: numbers of files.
        labels: how many examples the thief knows.
        is_drawn: whether draws by luck are rejected.
    """
    from converters import lock_tflite

    data, inputs = _make_parity()
    content = _train(data, seed)
    samples = data.x_train if is_drawn else None
    directions = np.array(
        [
            find_direction(lock_tflite(content, samples=samples).public, inputs.x_train)
            for _ in range(max(counts))
        ]
    )
    return {
        files: (
            guess_without_labels(directions[:files], data),
            learn_with_labels(directions[:files], inputs, labels),
        )
        for files in [0, *counts]
    }


def find_direction(public: bytes, x: np.ndarray) -> np.ndarray:
    """float [columns]: how a file's answers go with each column of the inputs."""
    from edgepro_tf.runtime.interpreters import make_interpreter
    from edgepro_tf.runtime.running import input_details, run_model

    interpreter = make_interpreter(public)
    interpreter.allocate_tensors()
    (name,) = input_details(interpreter)
    (answers,) = run_model(interpreter, {name: x}).values()
    signs = np.where(answers[:, 0] >= 0.5, 1.0, -1.0)
    signs -= signs.mean()
    found: np.ndarray = x.T @ signs / len(x) / max(float(signs.std()), 1e-9)
    return found


def guess_without_labels(directions: np.ndarray, data: Dataset) -> float:
    """Accuracy of the direction that lies farthest from all of these."""
    _, vectors = np.linalg.eigh(directions.T @ directions)
    right = float(np.mean((data.x_test @ vectors[:, 0] > 0) == data.y_test))
    return max(right, 1 - right)


def learn_with_labels(directions: np.ndarray, data: Dataset, labels: int) -> float:
    """Mean accuracy of the best ridge regression that keeps away from directions."""
    best = 0.0
    for ridge, strength in itertools.product(_RIDGES, _STRENGTHS):
        away = np.eye(_COLUMNS) + strength * directions.T @ directions
        rng, right = np.random.default_rng(0), []
        for _ in range(_TRIES):
            chosen = rng.choice(len(data.x_train), labels, replace=False)
            x, y = data.x_train[chosen], 2.0 * data.y_train[chosen] - 1
            weights = np.linalg.solve(x.T @ x + ridge * away, x.T @ (y - y.mean()))
            right.append(np.mean((data.x_test @ weights > 0) == data.y_test))
        best = max(best, float(np.mean(right)))
    return best


def _make_parity() -> tuple[Dataset, Dataset]:
    """The developer's examples and the thief's, with one test set."""
    digits = load_dataset("digits")
    flat = [x.reshape(len(x), -1) for x in (digits.x_train, digits.x_test)]
    mean = flat[0].mean(0)
    _, deviations, axes = np.linalg.svd(flat[0] - mean, full_matrices=False)
    scale = deviations[:_COLUMNS] / len(flat[0]) ** 0.5
    x_train, x_test = (
        ((x - mean) @ axes[:_COLUMNS].T / scale).astype(np.float32) for x in flat
    )
    y_train, y_test = digits.y_train % 2, digits.y_test % 2
    own, others = (
        Dataset(x_train[half::2], y_train[half::2], x_test, y_test, "parity", 2)
        for half in (0, 1)
    )
    return own, others


def _train(data: Dataset, seed: int) -> bytes:
    import keras

    from converters.keras_export import ExportOptions, export_keras

    keras.utils.set_random_seed(seed)
    hidden = [keras.layers.Dense(units, activation="relu") for units in (24, 16)]
    head = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.Input((_COLUMNS,)), *hidden, head])
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    model.fit(data.x_train, data.y_train, epochs=30, batch_size=32, verbose=0)
    return export_keras(model, ExportOptions())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", nargs="+", type=int, default=[1, 3, 8, 16, 32])
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--labels", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
