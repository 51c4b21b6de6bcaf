"""A model of two inputs and two outputs, from the command line."""

import re
from pathlib import Path

import numpy as np
import pytest

from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import input_details, output_details, run_model
from tests.edgepro_tf.cli.test_main import edgepro
from tests.networks import NETWORKS

ARRAYS = {
    name: np.random.default_rng(i).normal(size=(40, 12)).astype(np.float32)
    for i, name in enumerate(("right", "left"))
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    content = export_keras(NETWORKS["two_towers"](), ExportOptions())
    (folder / "model.tflite").write_bytes(content)
    np.savez(folder / "samples.npz", **ARRAYS)
    assert edgepro("keygen", "--out", folder / "keys").returncode == 0
    done = edgepro(
        "lock", folder / "model.tflite", "--keys", folder / "keys",
        "--samples", folder / "samples.npz", "--out", folder / "shipped.tflite",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def run(folder: Path, *arguments: object) -> tuple[int, str, str]:
    pair = folder / "shipped.tflite"
    done = edgepro("run", pair, "--keys", folder / "keys", *arguments)
    return done.returncode, done.stdout, done.stderr


def test_arrays_by_name_are_fed(folder: Path) -> None:
    code, out, err = run(
        folder, "--input", folder / "samples.npz", "--output", folder / "y.npz"
    )
    assert code == 0, err
    interpreter = make_interpreter(folder / "model.tflite")
    assert set(input_details(interpreter)) == set(ARRAYS)
    expected = run_model(interpreter, ARRAYS)
    with np.load(folder / "y.npz") as found:
        assert set(found) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
            assert f"{name}  float32 {list(values.shape)}" in out


def test_accuracy_is_of_the_output_that_is_named(folder: Path) -> None:
    interpreter = make_interpreter(folder / "model.tflite")
    (kind,) = [n for n, d in output_details(interpreter).items() if d["shape"][-1] == 3]
    y = run_model(interpreter, ARRAYS)[kind].argmax(-1)
    stored = {f"x_{k}_{n}": x for k in ("train", "test") for n, x in ARRAYS.items()}
    np.savez(folder / "data.npz", y_train=y, y_test=y, **stored)
    data = f"npz:{folder / 'data.npz'}"
    code, out, err = run(folder, "--dataset", data, "--answers", kind)
    assert code == 0, err
    assert "with its sidecar:  100.00%" in out
    code, _, err = run(folder, "--dataset", data)
    details = output_details(interpreter)
    names = ", ".join(f"{n} {d['shape'][1:].tolist()}" for n, d in details.items())
    assert code == 1 and f"one of the outputs {names}, got several" in err


def test_uneven_classes_say_what_the_most_frequent_is_worth(folder: Path) -> None:
    interpreter = make_interpreter(folder / "model.tflite")
    (kind,) = [n for n, d in output_details(interpreter).items() if d["shape"][-1] == 3]
    stored = {f"x_{k}_{n}": x for k in ("train", "test") for n, x in ARRAYS.items()}
    count = len(ARRAYS["left"])
    even, uneven = np.arange(count) % 3, np.maximum(0, np.arange(count) - count + 3)
    for y, words in {
        "even": (even, r"\(chance 33.33%\)"),
        "uneven": (uneven, f"most frequent label {1 - 2 / count:.2%}"),
    }.values():
        np.savez(folder / "uneven.npz", y_train=y, y_test=y, **stored)
        data = f"npz:{folder / 'uneven.npz'}"
        code, out, err = run(folder, "--dataset", data, "--answers", kind)
        assert code == 0, err
        assert re.search(words, out)


def test_one_array_for_two_inputs_is_refused(folder: Path) -> None:
    np.save(folder / "x.npy", ARRAYS["left"])
    code, _, err = run(folder, "--input", folder / "x.npy")
    assert code == 1 and "expected an .npz with " in err
    np.savez(folder / "other.npz", left=ARRAYS["left"], middle=ARRAYS["right"])
    code, _, err = run(folder, "--input", folder / "other.npz")
    assert code == 1 and "got left, middle." in err
    code, _, err = run(folder, "--input", folder / "samples.npz", "--answers", "kind")
    assert code == 1 and "--answers with --dataset alone" in err
    np.savez(folder / "short.npz", left=ARRAYS["left"][:, :5], right=ARRAYS["right"])
    code, _, err = run(folder, "--input", folder / "short.npz")
    words = "cannot feed input 'left' of shipped.tflite: expected an array of shape"
    assert code == 1 and words in err
