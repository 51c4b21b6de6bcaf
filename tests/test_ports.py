"""The core for systems that are not at hand.

Cross-compiled by clang (the ziglang wheel) without a warning, and run where there is an
emulator (qemu-user-static, wine).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgepro_tf.native._library import _SIGNATURES
from edgepro_tf.sidecar import open_sidecar
from tests.runtime_only.test_golden_pair import PAIRS, keys_of

pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
ROOT = Path(__file__).parents[1]
CORE = ROOT / "edgepro_tf" / "native"
PROGRAM = Path(__file__).with_name("ports") / "restore_files.c"
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Werror"
ZIG = [sys.executable, "-m", "ziglang", "cc"]
SECONDS = 600
# setup.py, as Python runs it on another system.
ELSEWHERE = """
import runpy, sys, setuptools.command.build_ext, setuptools.command.bdist_wheel
sys.platform = sys.argv.pop(1)
runpy.run_path("setup.py")
"""
Done = subprocess.CompletedProcess[str]
builds_c_library = pytest.mark.skipif(
    os.environ.get("EDGEPRO_PORTS") != "1",
    reason="a minute or two each, at first: EDGEPRO_PORTS=1",
)


def run(command: Sequence[object], **variables: str) -> Done:
    caches = ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")
    variables |= dict.fromkeys(caches, str(ROOT / ".cache" / "zig"))
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def build_library(folder: Path, system: str, machine: str, compiler: str) -> Done:
    command = [sys.executable, "-c", ELSEWHERE, system, "-q", "build_ext"]
    return run(
        [*command, "--build-lib", folder, "--build-temp", folder],
        CC=compiler,
        CFLAGS=WARNINGS,
        _PYTHON_HOST_PLATFORM=machine,
    )


@pytest.mark.parametrize(
    ("target", "system", "machine", "name"),
    [
        ("aarch64-macos", "darwin", "macosx-11.0-arm64", "libedgepro.dylib"),
        ("x86_64-macos", "darwin", "macosx-11.0-x86_64", "libedgepro.dylib"),
        pytest.param(
            *("x86_64-windows-gnu", "win32", "win-amd64", "libedgepro.dll"),
            marks=builds_c_library,
        ),
    ],
    ids=["apple silicon", "intel mac", "windows"],
)
def test_the_library_builds(
    tmp_path: Path, target: str, system: str, machine: str, name: str
) -> None:
    compiler = " ".join([*ZIG, "-target", target])
    done = build_library(tmp_path, system, machine, compiler)
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files] == [name]
    content = files[0].read_bytes()
    assert [name for name in _SIGNATURES if name.encode() not in content] == []


def test_a_mac_library_is_of_every_processor_of_its_python(tmp_path: Path) -> None:
    done = build_library(tmp_path, "darwin", "macosx-11.0-universal2", "false")
    assert "-arch arm64 -arch x86_64" in done.stderr


@pytest.mark.parametrize(
    "target",
    [
        "-target x86_64-windows-gnu",
        "-target arm-linux-gnueabihf -mcpu=generic+v7a+neon",  # armeabi-v7a
        "-target arm-linux-gnueabihf -mcpu=arm1176jzf_s",  # no NEON
        "-target aarch64-linux-musl",
    ],
)
def test_nothing_is_warned_of(tmp_path: Path, target: str) -> None:
    command = [*ZIG, *target.split(), "-std=c99", *WARNINGS.split(), "-c"]
    for source in CORE.glob("*.c"):
        done = run([*command, source, "-o", tmp_path / "compiled.o"])
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("flags", "emulator"),
    [
        ("-O1 -fsanitize=undefined -fno-sanitize-recover=all", "env"),  # here
        ("-O2 -target x86_64-windows-gnu", "wine64"),
        ("-O2 -target aarch64-linux-musl", "qemu-aarch64-static"),
        ("-O2 -target arm-linux-musleabihf", "qemu-arm-static"),
    ],
    ids=["here", "windows", "arm64", "armv7"],
)
@builds_c_library
def test_golden_pairs_are_restored(tmp_path: Path, flags: str, emulator: str) -> None:
    program = tmp_path / "restore_files.exe"
    command = [*ZIG, *flags.split(), "-std=c99", "-I", CORE, PROGRAM]
    built = run([*command, *CORE.glob("*.c"), "-o", program])
    assert built.returncode == 0, built.stderr
    if not shutil.which(emulator):
        pytest.skip(f"built, not run: no {emulator}")
    done = run([emulator, program, *write_pairs(tmp_path)])
    assert done.returncode == 0, done.stderr
    assert "expected a TFLite flatbuffer, got other data of 5 bytes." in done.stdout


def write_pairs(folder: Path) -> list[Path]:
    """Each golden pair's public model, payload and authorized model."""
    files = []
    for pair in PAIRS:
        model, payload = pair / "model.tflite", folder / f"{pair.name}.payload"
        sidecar = open_sidecar(pair / "model.edgepro", model=model, **keys_of(pair))
        payload.write_bytes(sidecar.payload)
        files += [model, payload, pair / "authorized.tflite"]
    return files
