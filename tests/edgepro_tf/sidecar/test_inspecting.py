import pytest

from edgepro_tf.errors import SidecarFormatError
from edgepro_tf.sidecar import ModelBinding, inspect_sidecar
from tests.edgepro_tf.sidecar.material import MODEL, PASSPHRASE, identity, seal


def test_shows_what_needs_no_key(tmp_path):
    path = tmp_path / "m.edgepro"
    path.write_bytes(seal(identity(), identity("RSA-3072"), PASSPHRASE))
    info = inspect_sidecar(path)
    model = ModelBinding.of(MODEL)
    assert info.model == model
    assert [entry.alg for entry in info.recipients] == [
        "ECDH-ES+A256KW",
        "RSA-OAEP-256",
        "PBES2-HS512+A256KW",
    ]
    assert info.recipients[0].key_id == identity().key_id
    assert str(info).splitlines() == [
        f"sidecar of {path.stat().st_size:,} bytes, format version 1",
        f"model {model.id}, 27 bytes",
        f"sealed to key {identity().short_id} (ECDH-ES+A256KW)",
        f"sealed to key {identity('RSA-3072').short_id} (RSA-OAEP-256)",
        "sealed to a passphrase (PBES2-HS512+A256KW)",
    ]


def test_names_its_own_task():
    with pytest.raises(SidecarFormatError, match="cannot inspect sidecar: the file"):
        inspect_sidecar(b"")
