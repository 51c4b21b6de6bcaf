"""The fuzzers' first inputs under the sanitizers; ``make fuzz`` goes on from them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.make_corpus import delegate_inputs, model_inputs

RUN = Path(__file__).with_name("run.sh")


def has_libfuzzer(folder: Path) -> bool:
    if shutil.which("clang") is None:
        return False
    source = folder / "empty.c"
    source.write_text(
        "#include <stddef.h>\n"
        "int LLVMFuzzerTestOneInput(const char* d, size_t n) { return 0 * !d * !n; }\n"
    )
    command = ["clang", "-fsanitize=fuzzer,address", source, "-o", folder / "empty"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_first_inputs_reach_both_sides() -> None:
    assert len(model_inputs()) > 15 and len(delegate_inputs()) > 10


def test_first_inputs_are_handled(tmp_path: Path) -> None:
    if not has_libfuzzer(tmp_path):
        pytest.skip("needs clang with libFuzzer (apt install clang libclang-rt-14-dev)")
    done = subprocess.run(
        ["bash", str(RUN), "0", sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("DONE") == 2
