"""Building without a compiler, or with one that fails: a sentence, and no library."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("setuptools.command.bdist_wheel")
ROOT = Path(__file__).parents[1]


def build(
    folder: Path, compiler: str, *, start: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-c", start] if start else ["setup.py"])]
    command += ["-q", "build_ext", "--build-lib", str(folder)]
    return subprocess.run(
        [*command, "--build-temp", folder],
        cwd=ROOT,
        env={**os.environ, "CC": compiler, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("compiler", "words"),
    [
        (
            "/nonexistent",
            "expected a C compiler (/nonexistent), found none. Install one",
        ),
        ("false", "expected the C compiler to succeed, got status 1 from: false -std"),
    ],
)
def test_compilers_that_do_not_serve(tmp_path: Path, compiler: str, words: str) -> None:
    done = build(tmp_path, compiler)
    assert done.returncode == 1
    assert f"edgepro-tf: error: cannot build the native core: {words}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_compiler_that_serves(tmp_path: Path) -> None:
    done = build(tmp_path, "")
    assert done.returncode == 0, done.stderr
    names = [path.name for path in tmp_path.rglob("libedgepro.*")]
    assert len(names) == 1 and not names[0].endswith(".partial")


@pytest.mark.skipif(
    not (sys.platform == "linux" and shutil.which("gcc") and shutil.which("readelf")),
    reason="of gcc on Linux, by readelf",
)
def test_the_library_is_hardened(tmp_path: Path) -> None:
    assert build(tmp_path, "gcc").returncode == 0
    (library,) = tmp_path.rglob("libedgepro.so")
    command = ["readelf", "--wide", "--segments", "--dynamic", "--dyn-syms", library]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for words in ("GNU_RELRO", "BIND_NOW", "__stack_chk_fail"):
        assert words in shown
    assert not re.search(r"GNU_STACK.* RWE ", shown)


@pytest.mark.skipif(os.name != "posix", reason="a script in a compiler's place")
def test_zig_where_pip_installs_to_stands_in_for_a_compiler(tmp_path: Path) -> None:
    """pip hides the packages there from what builds, and not their files."""
    zig = tmp_path / "ziglang" / "zig"
    zig.parent.mkdir()
    zig.write_text('#!/bin/sh\necho "zig $*" >&2\nexit 1\n')
    zig.chmod(0o755)
    code = "import importlib.util, runpy, sys, sysconfig;"
    code += f"sysconfig.get_path = lambda name: {str(tmp_path)!r};"
    code += "importlib.util.find_spec = lambda name: None;"
    code += "runpy.run_path('setup.py')"
    done = build(tmp_path, "", PATH=str(tmp_path), start=code)
    assert done.returncode == 1 and "zig cc -mcpu=baseline -std=c99" in done.stderr
    zig.unlink()
    done = build(tmp_path, "", PATH=str(tmp_path), start=code)
    assert "(cc or gcc or clang), found none" in done.stderr
