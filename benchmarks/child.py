"""One load in a process of its own.

    python -m benchmarks.child SUBJECT ROOT VARIANT THREADS

The child says ``ready``, waits for a line, loads, answers once, and prints JSON.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.subjects import Subject
from benchmarks.variants import load_libraries, open_variant, read_secret
from edgepro_tf.runtime.interpreters import make_interpreter

_TINY = Path(__file__).parent.parent / "tests" / "golden" / "v1" / "authorized.tflite"
_SAMPLING_S = 0.0002


def run_child(
    subject: Subject, variant: str, *, threads: int, is_sampled: bool = False
) -> dict[str, float]:
    """Load a variant in a new process.

    Args:
        subject: whose files ``build_subject`` wrote.
        variant: one of ``VARIANTS``.
        threads: CPU threads of the interpreter; restoring takes its own choice.
        is_sampled: also watch anonymous memory from here, for its peak; that
            disturbs the child's times.
    """
    command = [sys.executable, "-m", "benchmarks.child", subject.name]
    command += [str(subject.root), variant, str(threads)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as child:
        assert child.stdin and child.stdout and child.stderr
        child.stdout.readline()
        status = Path(f"/proc/{child.pid}/status")
        before = peak = _status_kb(status, "RssAnon")
        child.stdin.write("go\n")
        child.stdin.flush()
        while is_sampled and not select.select([child.stdout], [], [], _SAMPLING_S)[0]:
            peak = max(peak, _status_kb(status, "RssAnon"))
        output, report = child.stdout.read(), child.stderr.read()
    if child.returncode:
        raise ValueError(f"cannot load {subject.name}, {variant}: {report}")
    figures: dict[str, float] = json.loads(output)
    if is_sampled:
        figures["peak_anonymous_mib"] = (peak - before) / 1024
    return figures


def _load(subject: Subject, variant: str, threads: int) -> dict[str, float]:
    import resource  # not on Windows, where the other parts run all the same

    # What every variant pays alike stays outside the clock: imports and libraries,
    # and what a runtime sets up for its first interpreter.
    load_libraries(subject)
    tiny = make_interpreter(_TINY, num_threads=threads)
    tiny.allocate_tensors()
    tiny.invoke()
    secret = read_secret(subject, variant)
    status = Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): VmHWM starts again
    print("ready", flush=True)
    sys.stdin.readline()
    anonymous, resident = _anonymous_kb(), _status_kb(status, "VmRSS")
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    started = time.perf_counter()
    interpreter = open_variant(subject, variant, threads=threads, secret=secret)
    loaded = time.perf_counter()
    interpreter.invoke()
    answered = time.perf_counter()
    return {
        "load_ms": (loaded - started) * 1e3,
        "first_answer_ms": (answered - started) * 1e3,
        "major_faults": resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults,
        "anonymous_mib": (_anonymous_kb() - anonymous) / 1024,
        "peak_mib": (_status_kb(status, "VmHWM") - resident) / 1024,
    }


def _status_kb(status: Path, key: str) -> int:
    with open(status) as file:
        for row in file:
            if row.startswith(key):
                return int(row.split()[1])
    return 0


def _anonymous_kb() -> int:
    """Exact, where the counters of ``status`` may lag by some pages."""
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Anonymous:"))


if __name__ == "__main__":
    name, root, variant, threads = sys.argv[1:]
    figures = _load(Subject(name, Path(root)), variant, int(threads))
    print(json.dumps(figures), flush=True)
    os._exit(0)  # what it takes to end is nobody's figure
