"""The command in this process, beside a golden pair and files of every kind."""

import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from edgepro_tf.cli.main import run
from tests.edgepro_tf.cli.test_main import GOLDEN


class Said(NamedTuple):
    code: int
    out: str
    err: str


Edgepro = Callable[..., Said]


@pytest.fixture
def edgepro(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Edgepro:
    """The command in this process: most mistakes end before TensorFlow is loaded."""

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "stdout", sys.stdout)
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        with pytest.raises(SystemExit) as ended:
            run(["edgepro", *map(str, arguments)])
        said = capfd.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgepro: Edgepro) -> Path:
    """The golden pair, keys of another's, and files that are something else."""
    for path in GOLDEN.iterdir():
        if path.suffix != ".keras":
            shutil.copy(path, tmp_path / path.name)
    (tmp_path / "identity.jwk").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    assert edgepro("keygen", "--out", "keys").code == 0
    sidecar = Path("model.edgepro").read_bytes()
    model = Path("model.tflite").read_bytes()
    for name, content in {
        "empty": b"",
        "random": np.random.default_rng(0).bytes(90_000),
        "precious.edgepro": Path("authorized.tflite").read_bytes(),
        "other.json": b"{}",
        "cut.edgepro": sidecar[:300],
        "damaged.edgepro": _changed(sidecar),
        "cut.tflite": model[:2000],
        "damaged.tflite": _changed(model),
        "none.npy": b"",
        "none.tflite": b"{}",
        "damaged.npz": b"PK\x03\x04" + bytes(50),
    }.items():
        Path(name).write_bytes(content)
    Path("loop").symlink_to("loop")
    Path("folder").mkdir()
    with Path("huge").open("wb") as file:
        file.truncate(100 << 20)
    np.save("x.npy", np.zeros((2, 8, 8, 1), np.float32))
    images, labels = np.zeros((12, 8, 8, 1), np.float32), np.arange(12)
    np.savez(
        "many_classes.npz",
        x_train=images, y_train=labels, x_test=images, y_test=labels,
    )  # fmt: skip
    np.save("other_shape.npy", np.zeros((2, 5, 5, 1), np.float32))
    np.save("text.npy", np.array(["a"]))
    np.save("objects.npy", np.array([{}]), allow_pickle=True)
    return tmp_path


def _changed(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def check_refusals(edgepro: Edgepro, cases: list[tuple[list[str], str]]) -> None:
    """Each is refused in its own words, and leaves the folder as it was."""
    before = list_files()
    for arguments, words in cases:
        said = edgepro(*arguments)
        case = f"{arguments}: {said}"
        assert said.code == 1, case
        first, *rest = [line for line in said.err.splitlines() if "INFO:" not in line]
        assert first.startswith("edgepro: error: ") and words in first, case
        assert all(line.startswith("edgepro: hint: ") for line in rest), case
        assert list_files() == before, case


def list_files() -> dict[str, tuple[int, int]]:
    paths = [path for path in Path().rglob("*") if not path.is_symlink()]
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in paths}
