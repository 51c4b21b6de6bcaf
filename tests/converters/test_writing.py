"""A pair is written whole, or not at all."""

import datetime
from pathlib import Path

import pytest

from converters import ProtectedModel, lock_tflite, write_pair
from edgepro_tf.errors import (
    ConversionError,
    EdgeProError,
    ExpiredError,
    OutputExistsError,
)
from edgepro_tf.runtime import open_interpreter
from edgepro_tf.sidecar import generate_identity, generate_issuer
from tests.edgepro_tf.test_files import limited_file_size
from tests.flatbuffers import export_cached

IDENTITY, ISSUER = generate_identity(), generate_issuer()


@pytest.fixture(scope="module")
def protected() -> ProtectedModel:
    return lock_tflite(export_cached("mlp"))


def write(protected: ProtectedModel, path: Path, **options: object) -> object:
    return write_pair(
        protected, path, recipients=[IDENTITY.recipient], issuer=ISSUER, **options
    )


def test_written_pair_opens(protected: ProtectedModel, tmp_path: Path) -> None:
    written = write(protected, tmp_path / "new" / "m.tflite")
    assert written.model_path.read_bytes() == protected.public
    assert written.sidecar_bytes == written.sidecar_path.stat().st_size
    assert open_interpreter(
        written.model_path,
        written.sidecar_path,
        identity=IDENTITY,
        issuer=ISSUER.issuer_key,
    )


@pytest.mark.parametrize("name", ["m.tflite", "m.edgepro"])
def test_nothing_is_overwritten_unasked(
    protected: ProtectedModel, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        write(protected, tmp_path / "m.tflite")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"mine"
    write(protected, tmp_path / "m.tflite", overwrite=True)


def test_refused_seal_leaves_no_file(protected: ProtectedModel, tmp_path: Path) -> None:
    with pytest.raises(EdgeProError):
        write_pair(protected, tmp_path / "m.tflite", recipients=[], issuer=ISSUER)
    assert list(tmp_path.iterdir()) == []


def test_a_path_is_no_pair(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="expected a ProtectedModel"):
        write(tmp_path / "m.tflite", tmp_path / "n.tflite")  # type: ignore[arg-type]


def test_a_full_disk_leaves_no_half_of_a_pair(
    protected: ProtectedModel, tmp_path: Path
) -> None:
    """The sidecar fits, the model does not."""
    old = write(protected, tmp_path / "old.tflite")
    before = old.sidecar_path.read_bytes()
    room = old.sidecar_bytes + 100
    assert room < len(protected.public)
    with limited_file_size(room), pytest.raises(EdgeProError, match="too large"):
        write(protected, tmp_path / "m.tflite")
    with limited_file_size(room), pytest.raises(EdgeProError, match="too large"):
        write(protected, tmp_path / "old.tflite", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "old.edgepro",
        "old.tflite",
    ]
    assert old.sidecar_path.read_bytes() == before


@pytest.mark.parametrize("name", ["m.edgepro", ""])
def test_a_model_needs_a_name_of_its_own(
    protected: ProtectedModel, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConversionError, match="expected a model's name"):
        write(protected, Path(name) if name == "" else tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_expired_sidecar_says_so(protected: ProtectedModel, tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    written = write(
        protected, tmp_path / "m.tflite", expires=now + datetime.timedelta(seconds=2)
    )
    import time

    time.sleep(2.1)
    with pytest.raises(ExpiredError, match="expired"):
        open_interpreter(
            written.model_path,
            written.sidecar_path,
            identity=IDENTITY,
            issuer=ISSUER.issuer_key,
        )
