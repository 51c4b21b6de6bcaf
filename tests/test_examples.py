"""The C and C++ examples build without a warning and give the golden pair's answers."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgepro_tf import native
from edgepro_tf.cli import keyring
from tests.runtime_only.test_golden_pair import (
    GOLDEN,
    KEYS,
    MODEL,
    SIDECAR,
    golden_samples,
)

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
TFLITE = ROOT / ".cache" / "tflite"
AUTHORIZED = GOLDEN / "authorized.tflite"
SECONDS = 120

pytestmark = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("cc") and shutil.which("c++")),
    reason="no make, C or C++ compiler",
)


def run(*command: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, timeout=SECONDS, **options)


def build(target: str, folder: Path) -> Path:
    program = folder / target
    built = run("make", "-C", EXAMPLES, f"OUT={folder}", f"TFLITE={TFLITE}", program)
    assert built.returncode == 0, built.stderr.decode()
    return program


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "payload"
    keys = GOLDEN / keyring.IDENTITY_FILE, GOLDEN / keyring.ISSUER_KEY_FILE
    command = [sys.executable, EXAMPLES / "write_payload.py", MODEL, SIDECAR, *keys]
    done = run(
        *command, path, KEYS["audience"], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr.decode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return path


@pytest.fixture(scope="module")
def restore_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("restore_model", tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def run_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        fetched = run(EXAMPLES / "fetch_tflite.sh", TFLITE)
    except subprocess.TimeoutExpired:
        pytest.skip("TFLite's C library could not be fetched in time")
    if fetched.returncode != 0:
        pytest.skip(fetched.stderr.decode().strip() or "TFLite could not be fetched")
    return build("run_pair", tmp_path_factory.mktemp("cpp"))


def test_c_restores_the_authorized_model(restore_model: Path, payload: Path) -> None:
    before = MODEL.read_bytes()
    done = run(restore_model, MODEL, payload)
    assert done.returncode == 0, done.stderr.decode()
    expected = native.fingerprint(AUTHORIZED.read_bytes())
    assert done.stdout.decode().strip().endswith(f"fingerprint {expected:08x}")
    (rewritten,) = re.findall(rb"rewrote (\d+) of", done.stdout)
    assert 0 < int(rewritten) < len(before)
    assert MODEL.read_bytes() == before


def test_c_names_what_is_wrong(restore_model: Path, payload: Path) -> None:
    for model, lock, sentence in (
        (AUTHORIZED, payload, b"belongs to another model"),
        (MODEL, MODEL, b"cannot"),
        (MODEL, payload.with_name("none"), b"cannot read"),
    ):
        done = run(restore_model, model, lock)
        assert done.returncode == 1
        assert sentence in done.stderr


def test_tflite_s_own_loader_restores_the_pair(run_pair: Path, payload: Path) -> None:
    x, y, expected = golden_samples()
    library = native.library_path()
    done = run(run_pair, library, MODEL, payload, input=x.astype(np.float32).tobytes())
    assert done.returncode == 0, done.stderr.decode()
    scores = np.frombuffer(done.stdout, np.float32).reshape(expected.shape)
    # Another version's kernels sum in another order: 1e-4 of a score is ample.
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    assert np.mean(np.argmax(scores, -1) == y) > 0.9


def test_tflite_s_own_loader_reports_the_wrong_model(
    run_pair: Path, payload: Path
) -> None:
    done = run(run_pair, native.library_path(), AUTHORIZED, payload, input=b"")
    assert done.returncode == 1
    assert b"belongs to another model" in done.stderr
