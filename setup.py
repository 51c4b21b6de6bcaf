"""Builds the native core with the platform's C compiler (see pyproject.toml)."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
SOURCES = "edgepro_tf/native"
SUFFIXES = {"win32": ".dll", "darwin": ".dylib"}
COMMON_FLAGS = ["-std=c99", "-O3", "-fvisibility=hidden", "-DNDEBUG"]
# What distributions of Linux build with: an overrun ends the process, and the table of
# functions to call is read-only. The NDK does so by itself.
HARDENING = [
    "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE",  # Where the compiler sets it, too.
    "-D_FORTIFY_SOURCE=2",
    "-Wl,-z,relro,-z,now",
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
        # Beside the target, then renamed: a running process keeps the old library. What
        # else a linker leaves there (Windows') goes with the folder.
        with tempfile.TemporaryDirectory(dir=output.parent) as folder:
            made = Path(folder, output.name)
            self.compile(extension.sources, made)
            os.replace(made, output)

    def compile(self, sources, library):
        command = find_compiler() + COMMON_FLAGS + platform_flags()
        command += words_of("CFLAGS")
        command += [*sources, "-o", str(library)]
        command += words_of("LDFLAGS")
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            stop(
                "cannot build the native core: expected the C compiler to succeed, got "
                f"status {result.returncode} from: {shlex.join(command)}\n"
                f"{result.stderr}"
            )


class PlatformWheel(bdist_wheel):
    """py3-none-<platform>: a library of the machine, but of no Python version."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


def platform_flags():
    """What makes a shared library of this system."""
    if sys.platform == "win32":
        return ["-shared"]
    if sys.platform != "darwin":
        hardening = HARDENING if sys.platform == "linux" else []
        return ["-shared", "-fPIC", "-pthread", *hardening]
    # A Python for both kinds of Mac makes a wheel for both.
    machine = sysconfig.get_platform().rpartition("-")[2]
    machines = ["arm64", "x86_64"] if machine == "universal2" else [machine]
    flags = ["-dynamiclib", "-Wl,-install_name,@rpath/libedgepro.dylib"]
    return flags + [word for name in machines for word in ("-arch", name)]


def find_compiler():
    """CC, else the first of the usual names that is installed, or the ziglang wheel.

    Windows has no usual one, and compilers of other kinds than Python in its path.
    """
    wanted = words_of("CC")
    names = [wanted] if wanted else [["cc"], ["gcc"], ["clang"]]
    if not wanted and (zig := find_zig()):
        # For every processor of this kind, not for this very one.
        zig += ["cc", "-mcpu=baseline"]
        names = [zig] if sys.platform == "win32" else [*names, zig]
    for command in names:
        if shutil.which(command[0]):
            return command
    hint = {
        "win32": "pip install ziglang",
        "darwin": "xcode-select --install",
    }.get(sys.platform, "apt install gcc, or pip install ziglang")
    stop(
        "cannot build the native core: expected a C compiler "
        f"({' or '.join(name[0] for name in names)}), found none. Install one "
        f"({hint}), then pip install . again."
    )


def find_zig():
    """The ziglang wheel's compiler; None where it is not installed.

    pip builds in an environment of its own, which hides the packages of the one that it
    installs into, though not their files.
    """
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang"]
    program = Path(sysconfig.get_path("platlib"), "ziglang", "zig")
    return [str(program)] if program.is_file() else None


def words_of(variable):
    """An environment variable's words; a path of Windows has backslashes."""
    return shlex.split(os.environ.get(variable, ""), posix=os.name == "posix")


def stop(text):
    """End the build with a sentence instead of a traceback."""
    sys.stdout.flush()
    sys.exit(f"\nedgepro-tf: error: {text}\n")


setup(
    ext_modules=[NativeCore()],
    cmdclass={"build_ext": BuildNativeCore, "bdist_wheel": PlatformWheel},
)
