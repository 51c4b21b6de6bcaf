"""The public file's pages are given back once restored, and nothing is lost by it."""

import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from converters import lock_tflite
from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import input_details, run_model

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux says which pages are resident"
)


def resident_kb(path: Path) -> int:
    """Of the shared mappings of a file."""
    total, is_mine = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_mine = line.endswith(str(path))
        elif is_mine and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def make_pair(folder: Path, units: tuple[int, ...], recipe: str):
    layers = [keras.layers.Dense(count, activation="relu") for count in units]
    model = keras.Sequential([keras.Input((600,)), *layers])
    protected = lock_tflite(export_keras(model, ExportOptions()), recipe=recipe)
    path = folder / "model.tflite"
    path.write_bytes(protected.public)
    return path, protected.payload, protected.authorized


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    # 1.7 MB: less is not given back.
    return make_pair(tmp_path_factory.mktemp("pair"), (700, 4), "standard")


def test_pages_are_given_back_and_answers_are_right(pair) -> None:
    path, payload, authorized = pair
    plain = make_interpreter(authorized)
    plain.allocate_tensors()
    (name,) = input_details(plain)
    x = {name: np.random.default_rng(0).normal(size=(1, 600)).astype(np.float32)}
    expected = run_model(plain, x)
    size_kb = len(authorized) // 1024
    for use_xnnpack in (True, False):
        restored = open_with_payload(path, payload, use_xnnpack=use_xnnpack)
        assert resident_kb(path) < size_kb / 4
        for _ in range(2):
            answers = run_model(restored, x)
            assert answers.keys() == expected.keys()
            if use_xnnpack:
                for key, value in answers.items():
                    np.testing.assert_array_equal(value, expected[key])
            restored.allocate_tensors()


def test_a_buffer_keeps_its_bytes(pair) -> None:
    path, payload, _ = pair
    content = path.read_bytes()
    before = bytes(bytearray(content))
    interpreter = open_with_payload(content, payload)
    interpreter.invoke()
    assert content == before


@pytest.mark.filterwarnings("ignore:the restore budget leaves open")
def test_pages_are_given_back_around_what_stays_open(tmp_path: Path) -> None:
    # `fast` locks the first filter, 1.7 MB, and leaves the next two open, 3.9 MB.
    path, payload, authorized = make_pair(tmp_path, (700, 700, 700, 4), "fast")
    _interpreter = open_with_payload(path, payload)
    first_kb, size_kb = 600 * 700 * 4 // 1024, len(authorized) // 1024
    assert size_kb / 2 < resident_kb(path) < size_kb - first_kb * 0.8
