"""Keras models in files, as the command line reads and writes them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgepro_tf.errors import ConversionError
from edgepro_tf.files import PRIVATE_MODE, check_regular, write_file

if TYPE_CHECKING:
    import keras

# What Keras says of a model whose layers it cannot make.
_OWN_CODE = ("Could not locate class", "`Lambda` layer")
# What to do with other tools' files.
_ELSEWHERE = "Convert it to a .tflite with its own tools; 'edgepro lock' takes that."
_SAVED_MODEL = (
    "A SavedModel has no layers: convert it with "
    "tf.lite.TFLiteConverter.from_saved_model; 'edgepro lock' takes that."
)
_HINTS = {
    ".tflite": "Lock a .tflite with 'edgepro lock'.",
    **dict.fromkeys((".onnx", ".pb", ".pt", ".pth", ".safetensors"), _ELSEWHERE),
}


def save_model(model: keras.Model, path: Path) -> None:
    """Save in Keras' format, atomically and readable by its owner alone.

    The file holds the unprotected network and, if it is locked, its lock.
    """
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "model.keras"
        model.save(temporary)
        write_file(path, temporary.read_bytes(), overwrite=True, mode=PRIVATE_MODE)


def load_model(path: Path) -> keras.Model:
    """Load a Keras model, locked or not.

    Raises:
        ConversionError: the file is no Keras model.
    """
    try:
        check_regular(path)
    except OSError as error:
        reason = error.strerror or "the system refused"
        hint = _SAVED_MODEL if (path / "saved_model.pb").is_file() else ""
        raise ConversionError(f"cannot read model {path}: {reason}.", hint) from error
    import keras

    import edgepro_tf.training  # noqa: F401  (registers the locked model's class)

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # A zip of JSON and HDF5: its readers raise anything.
        if any(words in str(error) for words in _OWN_CODE):
            raise ConversionError(
                f"cannot read model {path}: it needs code of its own (a Lambda or "
                "custom layer), which is not run from a file.",
                "If it is yours, convert it in Python, by converters.convert_keras.",
            ) from error
        reason = (str(error).splitlines() or [""])[0].partition(". ")[0].rstrip(".")
        raise ConversionError(
            f"cannot read model {path}: expected a Keras model, got a damaged or "
            f"foreign file ({type(error).__name__}: {reason:.160}).",
            _HINTS.get(path.suffix.lower(), "Save it with model.save('name.keras')."),
        ) from error
