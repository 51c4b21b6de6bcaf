"""Run the golden pairs in every TFLite runtime, and write the table of what ran where.

    python scripts/runtime_table.py                    all; writes docs/runtimes.md
                                                       and README's table
    python scripts/runtime_table.py --only litert      environments whose name has it
    python scripts/runtime_table.py --here             this environment, as JSON lines

Each runtime gets an environment of its own in .cache/runtimes; ARM goes through
scripts/test_arm.sh, TFLite's C library through examples/. The core must be built.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
PAIRS = sorted(p for p in (ROOT / "tests" / "golden").glob("v*") if p.is_dir())
PAGE = ROOT / "docs" / "runtimes.md"
README = ROOT / "README.md"
MARKS = re.compile("(<!-- runtimes -->\n).*(<!-- /runtimes -->)", re.DOTALL)
AUDIENCE = "com.example.golden"
SECONDS = 1800
# name -> what pip installs
ENVIRONMENTS = {
    "litert": ["ai-edge-litert", "numpy"],
    "litert-2.1": ["ai-edge-litert==2.1.0", "numpy"],
    "tflite-runtime": ["tflite-runtime==2.14.0", "numpy<2"],
    "tensorflow": ["tensorflow==2.21.*"],
}
DEVICE_PACKAGES = ["cryptography", "jwcrypto"]
INTRODUCTION = """# What was run where

Written by `scripts/runtime_table.py`; not edited by hand. Every line opens the
golden pairs (`tests/golden`: {pairs}) and runs the {samples} samples of each.

- **identical**: configurations whose every output equals, bit for bit, that of the
  authorized model in the same runtime: path or bytes, XNNPACK or built-in kernels, one
  or two threads.
- **buffer**: the restored file equals the authorized one, in a private mapping and in a
  sealed memory file.
- **CompiledModel**: LiteRT's other API, over the sealed memory file, bit for bit.
- **public alone** and **restored**: accuracy without and with the sidecar.

TFLite 2.9 is older than dense layers with a scale for each channel, and misreads the
authorized int8 files as well; those pairs are left out there, and the others are
compared with stored answers.
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table; every cell is text."""

    runtime: str
    machine: str
    python: str
    identical: str
    buffer: str
    compiled_model: str
    public_alone: str
    restored: str


HEADINGS = {
    "runtime": "runtime",
    "machine": "machine",
    "python": "Python, numpy",
    "identical": "identical",
    "buffer": "buffer",
    "compiled_model": "CompiledModel",
    "public_alone": "public alone",
    "restored": "restored",
}


def measure_here() -> Iterator[Row]:
    """A row for each usable runtime of this environment."""
    from edgepro_tf.errors import InterpreterError
    from edgepro_tf.runtime import installed_runtimes

    for runtime in installed_runtimes():
        try:
            runtime.load()
        except InterpreterError as error:
            print(error, file=sys.stderr)
            continue
        yield measure_runtime(runtime.name)


def measure_runtime(name: str) -> Row:
    from edgepro_tf.runtime import open_interpreter
    from edgepro_tf.runtime.interpreters import find_runtime, make_interpreter

    runtime, same, right = find_runtime(name), [], []
    for pair, as_bytes, use_xnnpack, num_threads in itertools.product(
        PAIRS, (False, True), (True, False), (1, 2)
    ):
        model, (x, y, _) = pair / "model.tflite", samples_of(pair)
        options = {"use_xnnpack": use_xnnpack, "num_threads": num_threads}
        restored = open_interpreter(
            model.read_bytes() if as_bytes else model,
            pair / "model.edgepro",
            runtime=name,
            **options,
            **keys_of(pair),
        )
        authorized = make_interpreter(
            pair / "authorized.tflite", runtime=runtime, **options
        )
        scores = scores_of(restored, x)
        same.append(scores.tobytes() == scores_of(authorized, x).tobytes())
        public = scores_of(make_interpreter(model, runtime=runtime), x)
        right.append([np.argmax(found, -1) == y for found in (public, scores)])
    public_alone, restored_share = np.mean(right, (0, 2))
    return Row(
        runtime=f"{runtime.distribution} {runtime.version}",
        machine=f"{platform.machine()} {os.environ.get('EMULATED', '')}".strip(),
        python=f"{platform.python_version()}, {np.__version__}",
        identical=f"{sum(same)} of {len(same)}",
        buffer=said(all(map(is_buffer_authorized, PAIRS))),
        compiled_model=said(is_compiled_model_identical()) if name == "litert" else "-",
        public_alone=f"{public_alone:.0%}",
        restored=f"{restored_share:.0%}",
    )


def is_buffer_authorized(pair: Path) -> bool:
    from edgepro_tf.runtime import restore_model, restore_model_file

    files, keys = (pair / "model.tflite", pair / "model.edgepro"), keys_of(pair)
    expected = (pair / "authorized.tflite").read_bytes()
    with restore_model_file(*files, **keys) as file:
        in_file = Path(file).read_bytes()
    return bytes(restore_model(*files, **keys)) == expected == in_file


def is_compiled_model_identical() -> bool | None:
    from edgepro_tf.runtime import open_compiled_model
    from edgepro_tf.runtime.compiled_models import has_compiled_model

    if not has_compiled_model():
        return None
    from ai_edge_litert.compiled_model import CompiledModel

    same = []
    for pair in PAIRS:
        x, _, expected = samples_of(pair)
        restored = open_compiled_model(
            pair / "model.tflite", pair / "model.edgepro", **keys_of(pair)
        )
        authorized = CompiledModel.from_file(str(pair / "authorized.tflite"))
        found = [
            compiled_scores(model, x, expected.shape[-1])
            for model in (restored, authorized)
        ]
        same.append(found[0] == found[1])
    return all(same)


def compiled_scores(model: object, x: np.ndarray, classes: int) -> list[list[float]]:
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    scores = []
    for sample in x:
        inputs[0].write(np.ascontiguousarray(sample))
        model.run_by_index(0, inputs, outputs)
        scores.append(list(outputs[0].read(classes, np.float32)))
    return scores


def scores_of(interpreter: object, x: np.ndarray) -> np.ndarray:
    from edgepro_tf.runtime.running import input_details, run_model

    interpreter.allocate_tensors()
    (name,) = input_details(interpreter)
    (scores,) = run_model(interpreter, {name: x}).values()
    return scores


def samples_of(pair: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with np.load(pair / "samples.npz") as arrays:
        return arrays["x"], arrays["y"], arrays["scores"]


def keys_of(pair: Path) -> dict[str, object]:
    from edgepro_tf.sidecar import load_identity, load_issuer_key

    return {
        "identity": load_identity(pair / "identity.jwk"),
        "issuer": load_issuer_key(pair / "issuer_key.jwk"),
        "audience": AUDIENCE,
    }


def said(value: bool | None) -> str:
    return {True: "yes", False: "NO", None: "-"}[value]


def run_environment(name: str) -> list[Row]:
    """Measure in a virtual environment, made at the first call."""
    folder = ROOT / ".cache" / "runtimes" / name
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        packages = [*ENVIRONMENTS[name], *DEVICE_PACKAGES]
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *packages], check=True, timeout=SECONDS)
        (folder / ".complete").touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return rows_of([python, __file__, "--here"], environment)


def run_arm(kind: str) -> list[Row]:
    """Measure on emulated ARM: ``arm64`` or ``armv7``."""
    environment = {**os.environ, "PYTHON": sys.executable, "EMULATED": "(emulated)"}
    script = ROOT / "scripts" / "test_arm.sh"
    return rows_of([script, kind, "scripts/runtime_table.py", "--here"], environment)


def rows_of(command: list[object], environment: dict[str, str]) -> list[Row]:
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=SECONDS,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return [Row(**json.loads(line)) for line in lines]


def run_c_library() -> list[Row]:
    """TFLite's C API and external-delegate loader, through examples/cpp."""
    tflite = ROOT / ".cache" / "tflite"
    furthest, right = 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "run_pair")
        make = ["make", "-C", ROOT / "examples", f"OUT={folder}", f"TFLITE={tflite}"]
        subprocess.run([*make, program], check=True, stdout=subprocess.DEVNULL)
        # 2.9 is older than dense layers with a scale for each channel: it misreads the
        # authorized int8 file as well.
        for pair in [pair for pair in PAIRS if "int8" not in pair.name]:
            _, y, expected = samples_of(pair)
            scores = run_c_program(program, pair).reshape(expected.shape)
            furthest = max(furthest, float(np.max(np.abs(scores - expected))))
            right.append(np.argmax(scores, -1) == y)
    library = ctypes.CDLL(str(tflite / "lib" / "libtensorflowlite_c.so"))
    library.TfLiteVersion.restype = ctypes.c_char_p
    return [
        Row(
            runtime=f"TFLite's C API {library.TfLiteVersion().decode()}",
            machine=platform.machine(),
            python="none (C++)",
            identical=f"within {furthest:.0e} (float pairs)",
            buffer="-",
            compiled_model="-",
            public_alone="-",
            restored=f"{np.mean(right):.0%}",
        )
    ]


def run_c_program(program: Path, pair: Path) -> np.ndarray:
    from edgepro_tf import native
    from edgepro_tf.sidecar import open_sidecar

    model, payload = pair / "model.tflite", program.with_name("payload")
    opened = open_sidecar(pair / "model.edgepro", model=model, **keys_of(pair))
    payload.write_bytes(opened.payload)
    done = subprocess.run(
        [program, native.library_path(), model, payload],
        input=samples_of(pair)[0].astype(np.float32).tobytes(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return np.frombuffer(done.stdout, np.float32)


def as_markdown(rows: list[Row]) -> str:
    lines = [list(HEADINGS.values()), ["---"] * len(HEADINGS)]
    lines += [list(dataclasses.asdict(row).values()) for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--here", action="store_true", help="JSON of this environment")
    parser.add_argument("--only", default="", help="environments whose name has this")
    given = parser.parse_args()
    if given.here:
        for row in measure_here():
            print(json.dumps(dataclasses.asdict(row)), flush=True)
        return
    jobs: dict[str, Callable[[], list[Row]]] = {
        name: lambda name=name: run_environment(name) for name in ENVIRONMENTS
    }
    jobs |= {kind: lambda kind=kind: run_arm(kind) for kind in ("arm64", "armv7")}
    jobs["c"] = run_c_library
    rows = [row for name, job in jobs.items() if given.only in name for row in job()]
    table = as_markdown(rows)
    print(table)
    if not given.only:
        introduction = INTRODUCTION.format(
            samples=len(samples_of(PAIRS[0])[0]),
            pairs=", ".join(pair.name for pair in PAIRS),
        )
        PAGE.write_text(f"{introduction}\n{table}\n")
        README.write_text(MARKS.sub(rf"\g<1>{table}\n\2", README.read_text()))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
