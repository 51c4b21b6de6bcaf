"""Builds the native core with the platform's C compiler (see pyproject.toml)."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
SOURCES = "edgepro_tf/native"
SUFFIXES = {"win32": ".dll", "darwin": ".dylib"}
COMMON_FLAGS = [
    "-std=c99",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-DNDEBUG",
    "-pthread",
]


class NativeCore(Extension):
    """A plain shared library: no Python in it, so one wheel serves all versions."""

    def __init__(self):
        sources = sorted(path.name for path in (ROOT / SOURCES).glob("*.c"))
        headers = sorted(path.name for path in (ROOT / SOURCES).glob("*.h"))
        super().__init__(
            "edgepro_tf.native.libedgepro",
            [f"{SOURCES}/{name}" for name in sources],
            depends=[f"{SOURCES}/{name}" for name in headers],
        )


class BuildNativeCore(build_ext):
    """Calls the compiler in one line."""

    def get_ext_filename(self, fullname):
        return fullname.replace(".", "/") + SUFFIXES.get(sys.platform, ".so")

    def get_export_symbols(self, extension):
        return []

    def build_extension(self, extension):
        output = Path(self.get_ext_fullpath(extension.name))
        output.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, then renamed: a running process keeps the old library.
        partial = output.with_suffix(".partial")
        command = find_compiler() + COMMON_FLAGS
        command += ["-dynamiclib" if sys.platform == "darwin" else "-shared"]
        command += shlex.split(os.environ.get("CFLAGS", ""))
        command += [*extension.sources, "-o", str(partial)]
        command += shlex.split(os.environ.get("LDFLAGS", ""))
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            partial.unlink(missing_ok=True)
            stop(
                "cannot build the native core: expected the C compiler to succeed, got "
                f"status {result.returncode} from: {shlex.join(command)}\n"
                f"{result.stderr}"
            )
        os.replace(partial, output)


class PlatformWheel(bdist_wheel):
    """py3-none-<platform>: a library of the machine, but of no Python version."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


def find_compiler():
    """CC, else the first of the usual names that is installed."""
    wanted = shlex.split(os.environ.get("CC", ""))
    names = [wanted] if wanted else [["cc"], ["gcc"], ["clang"]]
    for command in names:
        if shutil.which(command[0]):
            return command
    hint = {
        "Linux": "apt install gcc",
        "Darwin": "xcode-select --install",
    }.get(platform.system(), "install LLVM's clang")
    stop(
        "cannot build the native core: expected a C compiler "
        f"({' or '.join(name[0] for name in names)}), found none. Install one "
        f"({hint}), then pip install . again."
    )


def stop(text):
    """End the build with a sentence instead of a traceback."""
    sys.stdout.flush()
    sys.exit(f"\nedgepro-tf: error: {text}\n")


setup(
    ext_modules=[NativeCore()],
    cmdclass={"build_ext": BuildNativeCore, "bdist_wheel": PlatformWheel},
)
