"""Files whose tables hold other numbers: locked, or refused before a runtime dies."""

import contextlib
import struct
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from converters import lock_tflite
from edgepro_tf.errors import EdgeProError
from tests.crafted import add_blockwise, make_dense_chain, pack, unpack
from tests.flatbuffers import export_cached
from tests.test_docs import ROOT

_BEYOND = 1000  # No file here has so many of anything.
# Of a file's tables: what is an index, and what is a size.
_INDICES = ("inputs", "outputs", "buffer", "opcodeIndex", "subgraphIndex", "scales")
_SIZES = ("shape", "shapeSignature", "zeroPoint", "blockSize")


def _slots(table: Any) -> Iterator[tuple[Any, Any, tuple[int, ...]]]:
    """Where integers stand, and what to put there."""
    for name, value in vars(table).items():
        values = (-1, -2, _BEYOND) if name in _INDICES else (-1, 0, -_BEYOND)
        if hasattr(value, "__dict__"):
            yield from _slots(value)
        elif isinstance(value, list) and value and hasattr(value[0], "__dict__"):
            for each in value:
                yield from _slots(each)
        elif name in (*_INDICES, *_SIZES, "tensorIndex") and value is not None:
            if isinstance(value, int):
                yield vars(table), name, values
            else:
                yield from ((value, place, values) for place in range(len(value)))


def lock_altered(path: str) -> None:
    """Lock the file with one number changed, for each of its numbers in turn."""
    warnings.simplefilter("ignore")
    content = Path(path).read_bytes()
    for number in range(len(list(_slots(unpack(content))))):
        model = unpack(content)
        holder, place, values = list(_slots(model))[number]
        value = values[number % len(values)]
        print(number, place, value, flush=True)
        holder[place] = value
        try:
            altered = pack(model)
        except (TypeError, struct.error):  # No file has such a number there.
            continue
        with contextlib.suppress(EdgeProError):
            lock_tflite(altered)


def test_numbers_that_are_none_end_no_process(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    for content in (make_dense_chain(add_blockwise), export_cached("mobile", "int8")):
        path.write_bytes(content)
        call = f"import {__name__} as t; t.lock_altered({str(path)!r})"
        done = subprocess.run(
            [sys.executable, "-c", call], cwd=ROOT, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout[-100:], done.stderr[-1000:])


def test_channels_with_a_scale_below_0_are_locked() -> None:
    """Runtimes take these, of filters and biases; MCUNet, as it is published, has some.

    The scale of a whole tensor is another matter: XNNPACK crashed over one.
    """
    model = unpack(export_cached("mobile", "int8"))
    scales = [
        tensor.quantization.scale
        for tensor in model.subgraphs[0].tensors
        if tensor.quantization is not None and np.size(tensor.quantization.scale) > 1
    ]
    for each in scales:
        each[0] *= -1
    assert scales and lock_tflite(pack(model)).tensors_protected
