"""Writes the fuzzers' first inputs: the payload vectors, and delegates at work.

``python -m tests.fuzz.make_corpus FOLDER`` makes FOLDER/fuzz_model and
FOLDER/fuzz_delegate.
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

from edgepro_tf.errors import PayloadError
from edgepro_tf.locks import ElementType, ModelLock, Step, Target, TensorLock
from edgepro_tf.payload import implied_scales, pack_lock, unpack_lock

VECTORS = Path(__file__).parents[1] / "vectors" / "payload"
# Commands of fuzz_delegate.c for interpreter 0; 128 blesses a new context.
ADD, PREPARE_ALL, END = 128 + 4 * 4, 3, 128 + 2 + 4 * 4
# What fuzz_delegate.c makes of the sizes 250 to 255, which a block shuffle takes.
LARGE, LARGE_BYTES = 250, 4096 + 250


def model_inputs() -> dict[str, bytes]:
    """Threads, payload and model of each vector that has both."""
    found = {}
    for path in sorted(VECTORS.glob("*.txt")):
        lines = path.read_text().splitlines()
        vector = dict(line.split(": ", 1) for line in lines)
        if "payload" not in vector:
            continue
        payload = bytes.fromhex(vector["payload"])
        model = bytes.fromhex(vector.get("model", vector.get("model-zlib", "")))
        if "model-zlib" in vector:
            model = zlib.decompress(model)
        head = struct.pack("<BH", 2, len(payload))
        found[path.stem] = head + payload + model
    return found


def delegate_inputs() -> dict[str, bytes]:
    """Each vector's lock over constants of its sizes; and locks of two subgraphs."""
    locks = {"two_subgraphs": _two_subgraphs()}
    for name, data in model_inputs().items():
        (size,) = struct.unpack_from("<H", data, 1)
        try:
            locks[name] = unpack_lock(data[3 : 3 + size])
        except PayloadError:
            continue
    return {name: _at_work(lock) for name, lock in locks.items()}


def _two_subgraphs() -> ModelLock:
    rows = TensorLock(0, 0, ElementType.INT8, (1, 8, 4), Step.ORDER | Step.SIGNS)
    scales = TensorLock(
        1, 1, ElementType.FLOAT32, (1, 8, 1), Step.SHUFFLE, Target.SCALES
    )
    last = TensorLock(2, 0, ElementType.INT8, (1, LARGE_BYTES + 4, 1), Step.SHUFFLE)
    return ModelLock(bytes(32), (rows, implied_scales(rows), scales, last))


def _at_work(lock: ModelLock) -> bytes:
    """Contexts that fit, prepared twice, ended; then all of it again."""
    subgraphs = max(tensor.subgraph for tensor in lock.tensors) + 1
    work = b"".join(_context(lock, subgraph) for subgraph in range(subgraphs))
    work += bytes([PREPARE_ALL, END])
    payload = pack_lock(lock)
    return struct.pack("<H", len(payload)) + payload + work + work


def _context(lock: ModelLock, subgraph: int) -> bytes:
    mine = [tensor for tensor in lock.tensors if tensor.subgraph == subgraph]
    count = max((tensor.tensor for tensor in mine), default=0)
    out = bytes([ADD, count])
    for number in range(count + 1):
        data = scales = 0
        for tensor in mine:
            if tensor.tensor == number and tensor.target is Target.SCALES:
                scales = tensor.channels
            elif tensor.tensor == number:
                data = tensor.size_bytes
        code = data - LARGE_BYTES + LARGE if data >= LARGE_BYTES else min(data, 249)
        out += bytes([15, code % 256]) + bytes(data if data < 10_000 else 0)
        out += bytes([scales % 20, number % 2]) + bytes(4 * (scales % 20))
    return out


def main() -> None:
    """Write both corpora."""
    for name, inputs in (
        ("fuzz_model", model_inputs()),
        ("fuzz_delegate", delegate_inputs()),
    ):
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for stem, data in inputs.items():
            (folder / stem).write_bytes(data)


if __name__ == "__main__":
    main()
