"""Measure what protection costs and print tables with the bars: `make bench`, or

python -m benchmarks --out out/bench --only loading --subjects mobilenet_v2:fast --quick

Parts and subjects that are left out keep the figures of the run before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks import charts
from benchmarks.conversion import GROWING_MB, measure_conversion, measure_growth
from benchmarks.latency import measure_latency
from benchmarks.loading import measure_loading, measure_memory
from benchmarks.subjects import Subject, build_subject
from benchmarks.tables import format_results
from edgepro_tf.runtime.interpreters import find_runtime

SUBJECTS = (
    "mobilenet_v2",
    "mobilenet_v2:fast",
    "mobilenet_v2:depthwise",
    "mobilenet_v2_int8",
    "mobilenet_v2_int8:fast",
    "resnet50",
)
THREADS = {"1 thread": 1, "2 threads": 2}
PARTS = ("latency", "loading", "memory", "conversion", "growth")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--quick", action="store_true", help="a look, not a record")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--subjects",
        nargs="+",
        default=SUBJECTS,
        help="NETWORK[:RECIPE], where a recipe is a preset or 'depthwise'",
    )
    args = parser.parse_args()
    if sys.platform != "linux" and not {"loading", "memory"}.isdisjoint(args.only):
        parser.error(
            f"cannot measure loads and memory on {sys.platform}: expected Linux, whose "
            "/proc tells them. Leave them out: --only latency conversion growth."
        )
    args.out.mkdir(parents=True, exist_ok=True)
    document = _read(args.out / "bench.json")
    for part in PARTS:
        if part in args.only:
            _measure(part, document, args)
            _write(document, args.out)
    print(format_results(document))


def _measure(part: str, document: dict[str, Any], args: argparse.Namespace) -> None:
    rounds = 1 if args.quick else 3
    if part == "growth":
        print(part, flush=True)
        sizes = GROWING_MB[:3] if args.quick else GROWING_MB
        document["growth"] = measure_growth(sizes_mb=sizes, rounds=rounds)
    elif part == "conversion":
        for network in dict.fromkeys(name.split(":")[0] for name in args.subjects):
            print(f"{part}: {network}", flush=True)
            figures = measure_conversion(network, rounds=rounds)
            document["conversion"][network] = figures
    else:
        for name in args.subjects:
            print(f"{part}: {name}", flush=True)
            subject = Subject(name, args.out / "subjects")
            result = document["subjects"].setdefault(name, {})
            result |= build_subject(subject)
            result[part] = _run_subject(part, subject, is_quick=args.quick)


def _run_subject(part: str, subject: Subject, *, is_quick: bool) -> dict[str, Any]:
    if part == "latency":
        pairs = 10 if is_quick or subject.network == "resnet50" else 30
        return {
            label: measure_latency(
                subject, threads=threads, rounds=2 if is_quick else 8, pairs=pairs
            )
            for label, threads in THREADS.items()
        }
    if part == "memory":
        return measure_memory(subject, rounds=1 if is_quick else 5)
    return {
        f"{'cold' if is_cold else 'warm'}, {label}": measure_loading(
            subject, threads=threads, is_cold=is_cold, rounds=3 if is_quick else 15
        )
        for is_cold in (False, True)
        for label, threads in THREADS.items()
    }


def _read(path: Path) -> dict[str, Any]:
    empty: dict[str, Any] = {"subjects": {}, "conversion": {}}
    return empty | (json.loads(path.read_text()) if path.exists() else {})


def _write(document: dict[str, Any], folder: Path) -> None:
    runtime = find_runtime()
    document["machine"] = f"{platform.machine()}, {os.cpu_count()} CPUs"
    document["runtime"] = f"{runtime.name} {runtime.version}"
    (folder / "bench.json").write_text(json.dumps(document, indent=2) + "\n")
    (folder / "bench.txt").write_text(format_results(document) + "\n")
    charts.draw_charts(document, folder / "bench.png")


if __name__ == "__main__":
    main()
