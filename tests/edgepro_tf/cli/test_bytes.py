"""Data files of bytes: as a model takes them, or with a word that they are scaled."""

from pathlib import Path

import keras
import numpy as np
import pytest

from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.cli import pairs
from edgepro_tf.errors import ConversionError
from tests.edgepro_tf.cli.test_main import edgepro

SCALED = "edgepro: warning: the bytes in npz:"


def build_rescaling(dtype: str) -> keras.Model:
    """A classifier of images that divides them by 255 itself."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1), dtype=dtype)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Flatten()(x)
    outputs = keras.layers.Dense(3, activation="softmax")(x)
    return keras.Model(inputs, outputs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bytes")
    assert edgepro("keygen", "--out", folder / "keys").returncode == 0
    model = build_rescaling("uint8")
    x = np.random.default_rng(0).integers(0, 256, (120, 6, 6)).astype(np.uint8)
    y = np.argmax(model(x[..., None]), -1)
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    model.save(folder / "integers.keras")
    build_rescaling("float32").save(folder / "floats.keras")
    (folder / "integers.tflite").write_bytes(export_keras(model, ExportOptions()))
    return folder


def make_pair(folder: Path, command: str, model: str, *options: str) -> str:
    """What is said on standard error."""
    done = edgepro(
        command, folder / model, "--keys", folder / "keys", "--force",
        "--samples", folder / "data.npz", "--out", folder / "pair.tflite", *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def run(folder: Path) -> tuple[str, str]:
    done = edgepro(
        "run", folder / "pair.tflite", "--keys", folder / "keys",
        "--dataset", f"npz:{folder / 'data.npz'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("command, model", [("convert", "integers.keras"),
                                            ("lock", "integers.tflite")])  # fmt: skip
def test_inputs_of_integers_get_bytes(folder: Path, command: str, model: str) -> None:
    """Shares of 255 would be no integers."""
    assert SCALED not in make_pair(folder, command, model)
    out, err = run(folder)
    assert "with its sidecar:  100.00%" in out and SCALED not in err


def test_ranges_of_int8_are_those_of_bytes(folder: Path) -> None:
    """Shares of 255, cut to integers, would all be zeros: ranges of one answer."""
    make_pair(folder, "convert", "integers.keras", "--format", "int8")
    out, _ = run(folder)
    share = float(out.partition("with its sidecar:")[2].partition("%")[0])
    assert share > 90  # Answers near a tie may turn when they are quantised.


def test_scaled_bytes_are_told(folder: Path) -> None:
    """A model that scales its inputs itself would answer, but not to the images."""
    assert SCALED in make_pair(folder, "convert", "floats.keras")
    assert SCALED in run(folder)[1]


def test_samples_of_another_file_say_what_to_pass(folder: Path) -> None:
    with pytest.raises(ConversionError, match=r"an \.npy or \.npz file, or the name"):
        pairs.read_samples(str(folder / "integers.tflite"))
