"""Arrays that the command line is given in files."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from edgepro_tf.errors import EdgeProError

_DAMAGED = (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
_NO_ARRAYS = (*_DAMAGED, TypeError, AttributeError)  # A lone array is no `with`.


def load_array(path: Path) -> np.ndarray:
    """The array of an ``.npy`` file.

    Raises:
        EdgeProError: it is no such file, or holds Python objects.
        OSError: it cannot be read.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except _DAMAGED as error:
        raise _no_arrays(path, "an .npy array") from error
    if not isinstance(values, np.ndarray):
        values.close()
        raise _no_arrays(path, "one .npy array")
    return _numbers(path, values)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file, by name.

    Raises:
        EdgeProError: it is no such file, or holds Python objects.
        OSError: it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _numbers(path, array) for name, array in arrays.items()}
    except _NO_ARRAYS as error:
        raise _no_arrays(path, "an .npz of arrays") from error


def pack_arrays(arrays: dict[str, np.ndarray]) -> bytes:
    """The content of an ``.npz`` file; ``numpy.savez`` would refuse some names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
    return buffer.getvalue()


def _numbers(path: Path, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "biuf" or values.size == 0:
        raise EdgeProError(
            f"cannot read {path}: expected numbers [count, ...], got "
            f"{values.dtype} {list(values.shape)}."
        )
    return values


def _no_arrays(path: Path, expected: str) -> EdgeProError:
    return EdgeProError(
        f"cannot read {path}: expected {expected}, got another file, or a damaged one.",
        "Write it with numpy.save or numpy.savez.",
    )
