"""Measure what protection costs and print a table: `make bench`, or

python -m benchmarks --out out/bench [--quick] [--subjects mobilenet_v2 ...]
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

from benchmarks import charts
from benchmarks.latency import measure_latency
from benchmarks.loading import measure_loading
from benchmarks.subjects import build_subject
from edgepro_tf.cli.console import format_table
from edgepro_tf.runtime.interpreters import find_runtime

SUBJECTS = {
    "mobilenet_v2": "standard",
    "mobilenet_v2:fast": "fast",
    "mobilenet_v2_int8": "standard",
    "mobilenet_v2_int8:fast": "fast",
    "resnet50": "standard",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--quick", action="store_true", help="a tenth of the pairs")
    parser.add_argument("--subjects", nargs="+", default=list(SUBJECTS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results = [_measure(name, args) for name in args.subjects]
    document = {
        "machine": platform.processor() or platform.machine(),
        "runtime": f"{find_runtime().name} {find_runtime().version}",
        "results": results,
    }
    (args.out / "bench.json").write_text(json.dumps(document, indent=2))
    table = format_results(results)
    (args.out / "bench.txt").write_text(table + "\n")
    charts.draw_charts(results, args.out / "bench.png")
    print(table)


def _measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    print(f"{name}: converting", flush=True)
    subject = build_subject(
        name.split(":")[0], args.out / "subjects", recipe=SUBJECTS[name]
    )
    pairs = 20 if args.quick else 200
    if name.startswith("resnet"):
        pairs //= 4
    rounds = 3 if args.quick else 15
    result: dict[str, Any] = {
        "name": name,
        "model_mib": subject.plain.stat().st_size / 2**20,
        "payload_bytes": subject.payload.stat().st_size,
        "conversion_ratio": 1 + subject.locking_s / subject.conversion_s,
        "conversion_s": subject.conversion_s,
        "locking_s": subject.locking_s,
    }
    for threads in (1, 2):
        print(f"{name}: latency, {threads} threads", flush=True)
        result[f"latency_{threads}"] = measure_latency(
            subject, threads=threads, pairs=pairs
        )
    for is_cold in (False, True):
        label = "cold" if is_cold else "warm"
        print(f"{name}: loading, {label}", flush=True)
        result[f"loading_{label}"] = measure_loading(
            subject, rounds=rounds, is_cold=is_cold
        )
    return result


def format_results(results: list[dict[str, Any]]) -> str:
    """Two tables: latency with its control, and loading beside the alternatives."""
    latency = [
        [
            f"{result['name']}, {threads} threads",
            f"{figures['plain_ms']:.2f}",
            f"{figures['protected_ms']:.2f}",
            _ratio(figures["ratio"], figures["ratio_interval"]),
            _ratio(figures["control_ratio"], figures["control_interval"]),
            _ratio(figures["multiplied_ratio"], figures["multiplied_interval"])
            if "multiplied_ratio" in figures
            else "-",
        ]
        for result in results
        for threads in (1, 2)
        for figures in [result[f"latency_{threads}"]]
    ]
    loading = [
        [
            f"{result['name']}, {label}, {variant}",
            f"{figures['load_ms']:.1f}",
            f"{figures['load_ratio']:.2f}",
            f"{figures['first_answer_ms']:.1f}",
            f"{figures['anonymous_mib']:.1f}",
            f"{figures['peak_mib']:.1f}",
        ]
        for result in results
        for label in ("warm", "cold")
        for variant, figures in result[f"loading_{label}"].items()
        if isinstance(figures, dict)
    ]
    conversion = [
        [
            result["name"],
            f"{result['model_mib']:.1f}",
            f"{result['conversion_s']:.1f}",
            f"{result['locking_s']:.1f}",
            f"{result['conversion_ratio']:.2f}",
            f"{result['payload_bytes']:,}",
        ]
        for result in results
    ]
    return "\n\n".join(
        [
            format_table(
                ["latency", "plain ms", "protected ms", "ratio", "A/A", "MUL layers"],
                latency,
            ),
            format_table(
                [
                    "loading",
                    "ms",
                    "to plain",
                    "first answer ms",
                    "anon MiB",
                    "peak MiB",
                ],
                loading,
            ),
            format_table(
                ["conversion", "MiB", "stock s", "locking s", "to stock", "payload B"],
                conversion,
            ),
        ]
    )


def _ratio(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


if __name__ == "__main__":
    main()
