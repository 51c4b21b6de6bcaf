"""The kept vectors, through the native core and payload.py."""

import hashlib
import struct
import zlib
from pathlib import Path

import pytest

from edgepro_tf import native
from edgepro_tf.errors import ConversionError, PayloadError, WrongModelError
from edgepro_tf.payload import pack_lock, unpack_lock

FOLDER = Path(__file__).parents[2] / "vectors" / "payload"
VECTORS = sorted(FOLDER.glob("*.txt"))
REFUSALS = {
    "bad-payload": PayloadError,
    "bad-model": ConversionError,
    "wrong-model": WrongModelError,
}


def read_vector(path: Path) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in path.read_text().splitlines())


def model_of(vector: dict[str, str]) -> bytearray:
    if "model-zlib" in vector:
        return bytearray(zlib.decompress(bytes.fromhex(vector["model-zlib"])))
    return bytearray.fromhex(vector["model"])


def test_vectors_are_there() -> None:
    assert len(VECTORS) >= 20


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vector(path: Path) -> None:
    vector = read_vector(path)
    if vector["expect"] == "keystream":
        output = bytes.fromhex(vector["output"])
        nonce = struct.unpack("<3I", bytes.fromhex(vector["nonce"]))
        key, counter = bytes.fromhex(vector["key"]), int(vector["counter"])
        assert native.keystream(key, nonce, counter, len(output)) == output
    elif vector["expect"] == "fingerprint":
        value = native.fingerprint(bytes.fromhex(vector["data"]))
        assert value.to_bytes(4, "little").hex() == vector["output"]
    elif vector["expect"] == "restored":
        check_restored(vector)
    else:
        model = model_of(vector)
        with pytest.raises(REFUSALS[vector["expect"]]):
            native.restore_buffer(model, bytes.fromhex(vector["payload"]))
        assert model == model_of(vector)


def check_restored(vector: dict[str, str]) -> None:
    payload, model = bytes.fromhex(vector["payload"]), model_of(vector)
    written = native.restore_buffer(model, payload)
    assert written == int(vector["written"])
    if "restored" in vector:
        assert model.hex() == vector["restored"]
    else:
        assert hashlib.sha256(model).hexdigest() == vector["restored-sha256"]
    assert pack_lock(unpack_lock(payload)) == payload
