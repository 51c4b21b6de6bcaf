"""MediaPipe Tasks answers with a protected model as with the authorized one."""

import ctypes.util
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from converters import ProtectedModel, lock_tflite, write_pair
from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.cli import keyring

mediapipe = pytest.importorskip("mediapipe")
if not all(map(ctypes.util.find_library, ("EGL", "GLESv2"))):
    pytest.skip("MediaPipe needs libEGL and libGLESv2", allow_module_level=True)

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "classify_with_mediapipe.py"
SHAPE = (32, 32, 3)
SECONDS = 120


@pytest.fixture(scope="module")
def classifier() -> ProtectedModel:
    """Bytes in, probabilities of five classes out: MediaPipe needs no metadata."""
    rng = np.random.default_rng(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(SHAPE, batch_size=1),
            layers.Conv2D(16, 5, strides=4, activation="relu"),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    images = rng.uniform(-2, 2, (20, 1, *SHAPE)).astype(np.float32)
    options = ExportOptions("int8", lambda: ([image] for image in images), "uint8")
    return lock_tflite(export_keras(model, options))


def classify(model: bytes, image: Path) -> str:
    """What the example prints, of a model in bytes."""
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_buffer=model)
    )
    with vision.ImageClassifier.create_from_options(options) as task:
        picture = mediapipe.Image.create_from_file(str(image))
        (found,) = task.classify(picture).classifications
    return "".join(f"{one.index}\t{one.score:.6f}\n" for one in found.categories)


def test_the_example_answers_as_the_authorized_model(
    classifier: ProtectedModel, tmp_path: Path
) -> None:
    keys, model, image = (tmp_path / name for name in ("keys", "m.tflite", "i.png"))
    identity, issuer = keyring.find_or_make_keys(keys)
    pair = write_pair(classifier, model, recipients=[identity.recipient], issuer=issuer)
    pixels = np.random.default_rng(1).integers(0, 256, SHAPE, np.uint8)
    Image.fromarray(pixels).save(image)
    opened_by = keys / keyring.IDENTITY_FILE, keys / keyring.ISSUER_KEY_FILE
    done = subprocess.run(
        [sys.executable, EXAMPLE, model, pair.sidecar_path, *opened_by, image],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        timeout=SECONDS,
    )
    assert done.stdout == classify(classifier.authorized, image)
    assert done.stdout != classify(classifier.public, image)
