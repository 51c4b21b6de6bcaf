"""Keras files that are damaged, foreign or made to harm."""

import json
import zipfile
from pathlib import Path

import pytest

from edgepro_tf.cli.keras_files import load_model, save_model
from edgepro_tf.errors import ConversionError
from tests.flatbuffers import build_cached


def _write_zip(path: Path, config: object) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")


def test_saved_model_is_read_and_private(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    save_model(build_cached("mlp"), path)
    assert load_model(path).count_params() == build_cached("mlp").count_params()
    assert path.stat().st_mode & 0o077 == 0


def test_files_that_are_no_models(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    save_model(build_cached("mlp"), path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for content in (b"", b"text", whole[:middle], damaged, b"PK\x03\x04" + bytes(99)):
        path.write_bytes(content)
        with pytest.raises(ConversionError, match="a damaged or foreign file"):
            load_model(path)
    with pytest.raises(ConversionError, match="Is a directory"):
        load_model(tmp_path)
    with pytest.raises(ConversionError, match="No such file"):
        load_model(tmp_path / "none.keras")


def test_files_of_other_tools_have_a_way(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ConversionError, match="from_saved_model"):
        load_model(tmp_path)
    (tmp_path / "model.ONNX").write_bytes(b"x")
    with pytest.raises(ConversionError, match="with its own tools"):
        load_model(tmp_path / "model.ONNX")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "a damaged or foreign file"),
        ([], "a damaged or foreign file"),
        (
            {"module": "os", "class_name": "system", "config": {}},
            "needs code of its own",
        ),
        (
            {
                "module": "keras.layers",
                "class_name": "Lambda",
                "config": {
                    "function": {"class_name": "__lambda__", "config": {"code": "AAAA"}}
                },
            },
            "needs code of its own",
        ),
    ],
)
def test_files_that_would_run_code_are_refused(
    tmp_path: Path, config: object, words: str
) -> None:
    path = tmp_path / "m.keras"
    _write_zip(path, config)
    with pytest.raises(ConversionError, match=words):
        load_model(path)
