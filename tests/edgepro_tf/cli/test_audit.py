"""``edgepro audit`` on a pair as it ships."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.edgepro_tf.cli.test_main import edgepro


def write_data(path: Path, shift: int = 0) -> None:
    """Series of 5 steps and 2 features: an array of three axes that is no image."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 5, 2)).astype(np.float32)
    y = (np.argmax(x[:, :4, 0], 1).astype(np.int32) + shift) % 4
    np.savez(path, x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])


def write_model(path: Path, data: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((5, 2)),
            keras.layers.Conv1D(8, 1, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    with np.load(data) as stored:
        model.fit(stored["x_train"], stored["y_train"], epochs=10, verbose=0)
    model.save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data (d.npz) and a network of it (m.keras); not written to."""
    folder = tmp_path_factory.mktemp("trained")
    write_data(folder / "d.npz")
    write_model(folder / "m.keras", folder / "d.npz")
    return folder


def test_a_pair_is_audited_and_goes_on_from_its_cache(
    trained: Path, tmp_path: Path
) -> None:
    keys, public, out = tmp_path / "keys", tmp_path / "m.tflite", tmp_path / "audit"
    shutil.copy(trained / "d.npz", tmp_path)
    assert edgepro("keygen", "--out", keys).returncode == 0
    done = edgepro("convert", trained / "m.keras", "--keys", keys, "--out", public)
    assert done.returncode == 0, done.stderr
    arguments = [
        "audit", public, "--keys", keys, "--dataset", f"npz:{tmp_path / 'd.npz'}",
        "--quick", "--seeds", 1, "--out", out, "--minutes",
    ]  # fmt: skip
    short = edgepro(*arguments, 0.001)
    assert short.returncode == 0, short.stderr
    assert "thief's advantage with" not in short.stdout
    assert short.stdout.count("first look at 1% of the data") == 1
    assert "Cut short: " in short.stdout and " more should do for these" in short.stdout
    assert "of which 0.001 are given" in short.stdout
    assert "Time was up: " in short.stdout
    begun = (out / "results.jsonl").read_text().splitlines()
    arguments.append(60)
    done = edgepro(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("thief's advantage with") == 3
    assert "Time was up" not in done.stdout
    assert "Labels taken for class numbers: figures are accuracy." in done.stdout
    document = json.loads((out / "audit.json").read_text())
    assert len(document["advantages"]) == 3
    assert (out / "audit.html").read_text().startswith("<!doctype html>")
    lines = (out / "results.jsonl").read_text().splitlines()
    assert lines[: len(begun)] == begun
    again = edgepro(*arguments)
    assert again.returncode == 0, again.stderr
    assert (out / "results.jsonl").read_text().splitlines() == lines
    write_data(tmp_path / "d.npz", shift=1)  # Other labels, under the same name.
    again = edgepro(*arguments)
    assert again.returncode == 1 and not again.stdout
    assert "expected the authorized network to answer this data" in again.stderr
    assert (out / "results.jsonl").read_text().splitlines() == lines


def test_a_file_or_a_network_not_both(tmp_path: Path) -> None:
    for arguments in ([], ["m.tflite", "--model", "cnn"]):
        done = edgepro("audit", *arguments, "--dataset", "digits", "--out", tmp_path)
        assert done.returncode == 1
        assert "expected either a model's file or --model" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_keras_model_is_locked_and_audited(trained: Path, tmp_path: Path) -> None:
    data, model, out = trained / "d.npz", trained / "m.keras", tmp_path / "audit"
    arguments = ["audit", model, "--dataset", f"npz:{data}", "--seeds", 1, "--out", out]
    done = edgepro(*arguments, "--recipe", "strict", "--minutes", 0.001)
    assert done.returncode == 0, done.stderr
    document = json.loads((out / "audit.json").read_text())
    assert document["facts"]["recipe"] == "strict"
    again = edgepro(*arguments)
    assert again.returncode == 1
    assert "it holds the audit of another network" in again.stderr


def test_data_that_were_refused_may_be_mended(trained: Path, tmp_path: Path) -> None:
    """Nothing was audited yet: the folder is taken again."""
    good = dict(np.load(trained / "d.npz"))
    data, out = tmp_path / "d.npz", tmp_path / "audit"
    labels = {key: good[key] + 1 for key in ("y_train", "y_test")}
    arguments = ["audit", trained / "m.keras", "--dataset", f"npz:{data}", "--seeds", 1]
    np.savez(data, **good | labels)
    done = edgepro(*arguments, "--out", out)
    assert done.returncode == 1 and "hint: Number classes from 0: store y - 1." in (
        done.stderr
    )
    np.savez(data, **good)
    done = edgepro(*arguments, "--out", out)
    assert done.returncode == 0, done.stderr
    (out / "model.txt").write_bytes(b"\xff, data ")
    done = edgepro(*arguments, "--out", out)
    assert done.returncode == 1 and "another network, or of other data" in done.stderr


def test_a_pair_that_ships_is_not_written_over(trained: Path, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped" / "model.tflite"
    shipped.parent.mkdir()
    shipped.write_bytes(b"ships")
    done = edgepro(
        "audit", trained / "m.keras", "--dataset", f"npz:{trained / 'd.npz'}",
        "--seeds", 1, "--out", shipped.parent,
    )  # fmt: skip
    assert done.returncode == 1
    assert "it holds a model.tflite of something else" in done.stderr
    assert [each.name for each in shipped.parent.iterdir()] == ["model.tflite"]
    assert shipped.read_bytes() == b"ships"


def test_a_model_that_answers_with_numbers_is_run_and_audited(tmp_path: Path) -> None:
    """Ages, stored as integers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 6)).astype(np.float32)
    y = np.rint(40 + 10 * x[:, 0] + 8 * abs(x[:, 1])).astype(np.int64)
    data, model = tmp_path / "d.npz", tmp_path / "m.keras"
    np.savez(data, x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])
    keras.utils.set_random_seed(0)
    ages = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1, bias_initializer=keras.initializers.Constant(40)),
        ]
    )
    ages.compile(keras.optimizers.Adam(1e-2), "mse")
    ages.fit(x[:500], y[:500], epochs=20, verbose=0)
    ages.save(model)
    keys, public, dataset = tmp_path / "keys", tmp_path / "m.tflite", f"npz:{data}"
    assert edgepro("keygen", "--out", keys).returncode == 0
    done = edgepro("convert", model, "--keys", keys, "--out", public)
    assert done.returncode == 0, done.stderr
    done = edgepro("run", public, "--keys", keys, "--dataset", dataset)
    assert done.returncode == 0, done.stderr
    assert "with its sidecar:  R2 9" in done.stdout
    out = tmp_path / "audit"
    arguments = ["audit", model, "--dataset", dataset, "--seeds", 1, "--out", out]
    done = edgepro(*arguments, "--recipe", "strict", "--minutes", 0.001)
    assert done.returncode == 0, done.stderr
    assert "Labels taken for numbers: figures are R2." in done.stdout
    document = json.loads((out / "audit.json").read_text())
    assert document["facts"]["score"] == "R2"
    assert document["facts"]["authorized_accuracy"] > 0.9
    page = (out / "audit.html").read_text()
    assert "<h2>R2 against data</h2>" in page and "authorized R2" in page
    assert "accuracy" not in page
    assert "numbers of shape (1,)" in document["facts"]["data"]
    tenths = y / 10
    np.savez(data, x_train=x[:9], y_train=tenths[:9], x_test=x[9:], y_test=tenths[9:])
    done = edgepro("audit", "--model", "mlp", "--dataset", dataset, "--out", out / "b")
    assert done.returncode == 1 and "one class number each" in done.stderr
