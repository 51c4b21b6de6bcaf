"""Load time and memory, each load in a process of its own.

    python -m benchmarks.loading VARIANT FOLDER THREADS     (the child; prints JSON)

Variants: ``plain``, ``protected``, and ``encrypted`` (the whole file under AES-256-GCM,
decrypted to memory: what people do today).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.subjects import Subject

VARIANTS = ("plain", "protected", "encrypted")


def measure_loading(
    subject: Subject, *, rounds: int, is_cold: bool, threads: int = 1
) -> dict[str, Any]:
    """Load every variant in turn, `rounds` times; medians and ratios to plain.

    Args:
        subject: from ``build_subject``.
        rounds: processes of each variant.
        is_cold: drop the files from the page cache before every load.
        threads: CPU threads of the interpreter.
    """
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for variant in VARIANTS:
            if is_cold:
                for path in (subject.plain, subject.public, subject.encrypted):
                    _drop_from_cache(path)
            figures[variant].append(_run_child(variant, subject.plain.parent, threads))
    plain = np.array([figure["load_ms"] for figure in figures["plain"]])
    result: dict[str, Any] = {"rounds": rounds, "is_cold": is_cold}
    for variant, rows in figures.items():
        loads = np.array([row["load_ms"] for row in rows])
        result[variant] = {
            key: float(np.median([row[key] for row in rows])) for key in rows[0]
        }
        result[variant]["load_ratio"] = float(np.median(loads / plain))
    return result


def _run_child(variant: str, folder: Path, threads: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.loading", variant, str(folder)]
    done = subprocess.run(
        [*command, str(threads)], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _drop_from_cache(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _child(variant: str, folder: Path, threads: int) -> dict[str, float]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from edgepro_tf import native
    from edgepro_tf.runtime.delegates import open_with_payload
    from edgepro_tf.runtime.interpreters import find_runtime, make_interpreter

    # What every variant pays alike stays outside the clock: imports, opening keys.
    find_runtime().load()
    native.version()
    key = (folder / "key").read_bytes()
    payload = (folder / "payload").read_bytes()
    _touch_interpreter(threads)
    before = _memory_kb()
    started = time.perf_counter()
    if variant == "protected":
        interpreter = open_with_payload(folder / "public", payload, num_threads=threads)
    else:
        model: Path | bytes = folder / "plain.tflite"
        if variant == "encrypted":
            sealed = (folder / "encrypted").read_bytes()
            model = AESGCM(key).decrypt(sealed[:12], sealed[12:], None)
            del sealed
        interpreter = make_interpreter(model, num_threads=threads)
        interpreter.allocate_tensors()
    loaded = time.perf_counter()
    after = _memory_kb()
    interpreter.invoke()
    answered = time.perf_counter()
    return {
        "load_ms": (loaded - started) * 1e3,
        "first_answer_ms": (answered - started) * 1e3,
        "anonymous_mib": (after["Anonymous"] - before["Anonymous"]) / 1024,
        "peak_mib": _peak_kb() / 1024,
    }


def _touch_interpreter(threads: int) -> None:
    """Warm the runtime with a tiny model, before the clock starts."""
    tiny = (
        Path(__file__).parent.parent / "tests" / "golden" / "v1" / "authorized.tflite"
    )
    from edgepro_tf.runtime.interpreters import make_interpreter

    interpreter = make_interpreter(tiny, num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.invoke()


def _memory_kb() -> dict[str, int]:
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    return {row.split(":")[0]: int(row.split()[1]) for row in rows}


def _peak_kb() -> int:
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith("VmHWM:"):
            return int(row.split()[1])
    return 0


if __name__ == "__main__":
    print(json.dumps(_child(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
