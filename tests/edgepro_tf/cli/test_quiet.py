"""TensorFlow's first messages are kept back, and shown where its import fails."""

import os
import subprocess
import sys
from pathlib import Path

_CODE = """
from edgepro_tf.cli.quiet import quieten_tensorflow
import importlib.util
quieten_tensorflow()
assert importlib.util.find_spec("tensorflow") is not None
import tensorflow
import os
os.write(2, b"later")
print(tensorflow.what)
"""


def import_with(
    folder: Path, says: str, level: str | None
) -> subprocess.CompletedProcess[str]:
    """Another library of that name: what it says stands for native code's messages."""
    (folder / "tensorflow.py").write_text(f"import os\nos.write(2, b'noise')\n{says}\n")
    variables = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    variables["PYTHONPATH"] = os.pathsep.join([str(folder), *sys.path])
    if level is not None:
        variables["TF_CPP_MIN_LOG_LEVEL"] = level
    return subprocess.run(
        [sys.executable, "-c", _CODE],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_its_messages_are_kept_back(tmp_path: Path) -> None:
    done = import_with(tmp_path, "what = 'here'", "3")
    assert (done.stdout, done.stderr) == ("here\n", "later")


def test_a_level_is_set_where_none_is(tmp_path: Path) -> None:
    done = import_with(tmp_path, "what = os.environ['TF_CPP_MIN_LOG_LEVEL']", None)
    assert (done.stdout, done.stderr) == ("3\n", "later")


def test_a_lower_level_shows_them(tmp_path: Path) -> None:
    done = import_with(tmp_path, "what = 'here'", "0")
    assert (done.stdout, done.stderr) == ("here\n", "noiselater")


def test_they_are_shown_where_the_import_fails(tmp_path: Path) -> None:
    done = import_with(tmp_path, "raise ImportError('no library')", "3")
    assert done.returncode == 1
    assert done.stderr.startswith("noise") and "no library" in done.stderr


def test_who_stops_the_import_is_not_shown_them(tmp_path: Path) -> None:
    assert "noise" not in import_with(tmp_path, "raise KeyboardInterrupt", "3").stderr


def test_the_real_one_is_imported_quietly() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE.replace("what", "__name__")],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("tensorflow\n", "later")
