"""Odd models from the command line: a single number as input, shared bytes, a state."""

from pathlib import Path

import keras
import numpy as np

from converters import lock_tflite
from converters.keras_export import ExportOptions, export_keras
from tests.crafted import Crafted
from tests.edgepro_tf.cli.test_main import edgepro


def test_an_input_without_axes_is_fed(tmp_path: Path) -> None:
    crafted = Crafted()
    source, factor = crafted.add_tensor([1, 8]), crafted.add_tensor([])
    hidden = crafted.add_dense(source, crafted.add_weights(4, 8), 4)
    out = crafted.add_tensor([1, 4])
    crafted.add_operator("MUL", [hidden, factor], [out])
    model, keys, pair = (tmp_path / name for name in ("m.tflite", "keys", "p.tflite"))
    model.write_bytes(crafted.finish([source, factor], [out]))
    assert edgepro("keygen", "--out", keys).returncode == 0
    done = edgepro("lock", model, "--keys", keys, "--out", pair)
    assert done.returncode == 0, done.stderr
    x, answers = np.ones((1, 8), np.float32), []
    for given in (np.float32(3), np.float32([3]), np.float32([3, 4])):
        np.savez(tmp_path / "in.npz", t0=x, t1=given)
        y = tmp_path / f"{given.size}{given.ndim}.npz"
        arguments = ["--keys", keys, "--input", tmp_path / "in.npz", "--output", y]
        done = edgepro("run", pair, *arguments)
        if given.size == 1:
            assert done.returncode == 0, done.stderr
            answers.extend(np.load(y).values())
    assert done.returncode == 1 and "expected a single number, got [2]" in done.stderr
    np.testing.assert_array_equal(*answers)


def test_constants_that_are_also_shapes_are_not_counted(tmp_path: Path) -> None:
    """A bias and a shape in the same bytes."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    shape = crafted.add_tensor([2], np.int32([2, 1]))
    buffer = crafted.model.subgraphs[0].tensors[shape].buffer
    bias, out = crafted.add_tensor([2], buffer=buffer), crafted.add_tensor([2, 1])
    hidden = crafted.add_dense(source, crafted.add_weights(2, 8), 2, bias)
    crafted.add_operator("RESHAPE", [hidden, shape], [out])
    model = tmp_path / "m.tflite"
    model.write_bytes(crafted.finish([source], [out]))
    assert lock_tflite(model).tensors_protected == 1
    assert "\n1 constants can be locked: " in edgepro("inspect", model).stdout


def test_a_model_that_keeps_its_state_is_fed_its_own_count(tmp_path: Path) -> None:
    """LiteRT would write past the end of what it keeps, abort, or never return."""
    inputs = keras.Input((5, 4), batch_size=1)
    outputs = keras.layers.Dense(2)(keras.layers.LSTM(3, stateful=True)(inputs))
    model, keys, pair = (tmp_path / name for name in ("m.tflite", "keys", "p.tflite"))
    model.write_bytes(export_keras(keras.Model(inputs, outputs), ExportOptions()))
    assert edgepro("keygen", "--out", keys).returncode == 0
    done = edgepro("lock", model, "--keys", keys, "--out", pair)
    assert done.returncode == 0, done.stderr
    for count, code in ((1, 0), (7, 1)):
        np.save(tmp_path / "x.npy", np.ones((count, 5, 4), np.float32))
        done = edgepro("run", pair, "--keys", keys, "--input", tmp_path / "x.npy")
        assert done.returncode == code, done.stderr
    assert "expected 1 at a time, which is what the model keeps" in done.stderr


def test_a_model_that_takes_one_at_a_time_says_so(tmp_path: Path) -> None:
    """The shape in its RESHAPE is of the batch that it was made for."""
    crafted = Crafted()
    source, out = crafted.add_tensor([1, 8]), crafted.add_tensor([2, 2])
    hidden = crafted.add_dense(source, crafted.add_weights(4, 8), 4)
    shape = crafted.add_tensor([2], np.int32([2, 2]))
    crafted.add_operator("RESHAPE", [hidden, shape], [out])
    model, keys, pair = (tmp_path / name for name in ("m.tflite", "keys", "p.tflite"))
    model.write_bytes(crafted.finish([source], [out]))
    assert edgepro("keygen", "--out", keys).returncode == 0
    done = edgepro("lock", model, "--keys", keys, "--out", pair)
    assert done.returncode == 0, done.stderr
    for count, code in ((1, 0), (7, 1)):
        np.save(tmp_path / "x.npy", np.ones((count, 8), np.float32))
        done = edgepro("run", pair, "--keys", keys, "--input", tmp_path / "x.npy")
        assert done.returncode == code, done.stderr
    assert "hint: The model takes 1 at a time, and got 7." in done.stderr
