"""Commands that are stopped, left by their reader, or shown on an old terminal."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from tests.edgepro_tf.cli.conftest import Edgepro, list_files
from tests.edgepro_tf.cli.test_main import ROOT


def _start(*arguments: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgepro_tf.cli", *arguments]
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=variables, text=True, stderr=subprocess.PIPE, **options
    )


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_command_says_so_and_leaves_nothing(
    folder: Path, ends: signal.Signals
) -> None:
    before = list_files()
    # A shell starts what runs behind it deaf to Ctrl-C, and its children inherit that.
    outer = signal.signal(signal.SIGINT, signal.default_int_handler)
    os.mkfifo("slow.jwk")  # It waits there for a writer that never comes.
    process = _start("grant", "model.edgepro", "--identity", "slow.jwk",
                     "--to", "keys/recipient.jwk", "--out", "new.edgepro")  # fmt: skip
    signal.signal(signal.SIGINT, outer)
    writer = os.open("slow.jwk", os.O_WRONLY)  # Opens once the command reads.
    for _ in range(10):  # Python may lose one that comes in a callback: press again.
        time.sleep(0.2)
        process.send_signal(ends)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
            break
    _, err = process.communicate(timeout=60)
    os.close(writer)
    Path("slow.jwk").unlink()
    assert process.returncode == 128 + ends
    assert err == "edgepro: error: stopped before it was done.\n"
    assert list_files() == before


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
def test_work_goes_on_when_the_reader_leaves(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = _start("keygen", "--out", "more", stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert len(list(Path("more").iterdir())) == 4


@pytest.mark.skipif(os.name != "posix", reason="shells are POSIX")
def test_a_closed_output_stops_no_training(tmp_path: Path) -> None:
    """Keras' progress is written to it unasked."""
    model = tmp_path / "m.keras"
    command = f"{sys.executable} -m edgepro_tf.cli train --model mlp --epochs 1"
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    shell = f"{command} --out {model} >&- 2>&-"
    assert subprocess.run(shell, shell=True, env=variables, check=False).returncode == 0
    assert model.is_file()


def test_a_terminal_without_the_letters(folder: Path) -> None:
    command = [sys.executable, "-m", "edgepro_tf.cli", "inspect", "model.edgepro"]
    variables = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    shown = subprocess.run(command, env=variables, capture_output=True, check=False)
    assert shown.returncode == 0 and shown.stderr == b""
    assert b"sealed to key cd3b1f25" in shown.stdout


@pytest.mark.skipif(os.name != "posix", reason="locales are POSIX")
def test_names_in_a_locale_that_lacks_their_letters(folder: Path) -> None:
    """The bytes of the names are what they are; Python holds them as surrogates."""
    plain = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    keys = ["--keys", "keys"]
    for arguments in (
        ["lock", "authorized.tflite", *keys, "--out", "für/ü.tflite"],
        ["run", "für/ü.tflite", *keys, "--input", "x.npy", "--output", "für/ä.npz"],
    ):
        command = [sys.executable, "-m", "edgepro_tf.cli", *arguments]
        variables = {**os.environ, **plain, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=variables, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(list(Path("für").iterdir())) == 3


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_warnings_are_lines_whatever_python_makes_of_them(
    action: str, folder: Path, edgepro: Edgepro
) -> None:
    """As PYTHONWARNINGS=error does: it ended work that was done in a traceback."""
    warnings.simplefilter(action)  # type: ignore[arg-type]
    Path("identity.jwk").chmod(0o644)
    said = edgepro("grant", "model.edgepro", "--identity", "identity.jwk",
                   "--to", "keys/recipient.jwk", "--out", "new.edgepro")  # fmt: skip
    assert said.code == 0, said.err
    assert said.err.startswith("edgepro: warning: identity identity.jwk is secret")
