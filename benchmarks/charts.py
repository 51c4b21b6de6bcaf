"""Plots of the benchmark's results."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw_charts(results: list[dict[str, Any]], path: Path) -> None:
    """Draw latency ratios with their intervals, and load times beside each other.

    Args:
        results: as ``benchmarks.__main__`` makes them.
        path: a .png; overwritten.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    rows = [(r["name"], t, r[f"latency_{t}"]) for r in results for t in (1, 2)]
    for place, (_, _, figures) in enumerate(rows):
        for shift, key, colour in (
            (0.12, "ratio", "#1b7f5c"),
            (-0.12, "control", "#888888"),
        ):
            value = figures["ratio" if key == "ratio" else "control_ratio"]
            low, high = figures[f"{key}_interval"]
            left.errorbar(
                value,
                place + shift,
                xerr=[[value - low], [high - value]],
                fmt="o",
                color=colour,
                label={"ratio": "protected / plain", "control": "plain / plain"}[key]
                if place == 0
                else None,
            )
    left.axvline(1.01, color="#c8553d", ls=":", lw=1)
    left.set_yticks(range(len(rows)), [f"{name}, {t} thr." for name, t, _ in rows])
    left.set(title="latency ratio, 95 % interval", xlabel="ratio")
    left.legend(fontsize=8, frameon=False)
    variants = ("plain", "protected", "encrypted")
    for shift, variant in enumerate(variants):
        heights = [r["loading_warm"][variant]["load_ms"] for r in results]
        places = [place + 0.26 * (shift - 1) for place in range(len(results))]
        right.bar(places, heights, 0.25, label=variant)
    right.set_xticks(
        range(len(results)), [r["name"] for r in results], rotation=20, fontsize=8
    )
    right.set(title="load time, warm cache", ylabel="ms", yscale="log")
    right.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
