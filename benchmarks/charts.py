"""Plots of the benchmark's results: one page of four."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.bars import LATENCY_RATIO, LIGHT_LOAD_RATIO
from benchmarks.variants import VARIANTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {
    "plain": "#9aa0a6",
    "again": "#9aa0a6",
    "protected": "#1b7f5c",
    "encrypted": "#c8553d",
    "multiplied": "#5b7db1",
    "claimed": "#a98bc4",
}


def draw_charts(document: dict[str, Any], path: Path) -> None:
    """Draw latency and load ratios, memory, and the growth of conversion.

    Args:
        document: as ``benchmarks.__main__`` writes it; parts may be missing.
        path: a .png; overwritten.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    subjects = document["subjects"]
    rows = max([4, *(len(result.get("loading", {})) for result in subjects.values())])
    top = 2 + 0.32 * rows * len(subjects)
    figure, axes = plt.subplots(
        2, 2, figsize=(16, top + 5), layout="constrained", height_ratios=[top, 5]
    )
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    _draw_ratios(axes[0, 0], subjects, "latency", LATENCY_RATIO)
    _draw_ratios(axes[0, 1], subjects, "loading", LIGHT_LOAD_RATIO)
    _draw_memory(axes[1, 0], subjects)
    _draw_growth(axes[1, 1], document.get("growth"))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_ratios(axis: Axes, subjects: dict[str, Any], part: str, limit: float) -> None:
    rows = {
        f"{name}, {condition}": figures
        for name, result in subjects.items()
        for condition, figures in result.get(part, {}).items()
    }
    if not rows:
        return axis.set_axis_off()
    # The variant that is judged comes last, on top.
    order = ("again", "encrypted", "claimed", "multiplied", "protected")
    variants = [key for key in order if key in next(iter(rows.values()))]
    places = np.arange(len(rows))
    for number, variant in enumerate(variants):
        found = [figures[variant] for figures in rows.values()]
        ratios = np.array([figures["ratio"] for figures in found])
        ends = np.array([figures["interval"] for figures in found]).T
        axis.errorbar(
            ratios,
            places + 0.13 * (number - (len(variants) - 1) / 2),
            xerr=np.abs(ends - ratios),
            fmt="o",
            ms=4,
            lw=1.5,
            color=_COLOURS[variant],
            label=VARIANTS[variant],
        )
    for edge in places[:-1] + 0.5:
        axis.axhline(edge, color="#eeeeee", lw=0.8)
    axis.axvline(1, color="#444444", lw=0.8)
    axis.axvline(limit, color="#444444", ls=":", lw=1)
    axis.set_yticks(places, list(rows), fontsize=8)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    title = {"latency": "latency", "loading": "load time"}[part]
    axis.set(title=f"{title} to the plain model, 95 % interval (dotted: {limit:g})")
    _add_legend(axis)
    return None


def _draw_memory(axis: Axes, subjects: dict[str, Any]) -> None:
    rows = {name: r["memory"] for name, r in subjects.items() if "memory" in r}
    if not rows:
        return axis.set_axis_off()
    variants = [key for key in _COLOURS if key != "again"]
    plain = np.array([memory["plain"]["peak_mib"] for memory in rows.values()])
    places = np.arange(len(rows))
    for number, variant in enumerate(variants):
        shifted = places + 0.16 * (number - (len(variants) - 1) / 2)
        for key, alpha in (("peak_mib", 0.35), ("peak_anonymous_mib", 1.0)):
            mib = np.array([memory[variant][key] for memory in rows.values()])
            label = VARIANTS[variant] if alpha == 1 else None
            colour = _COLOURS[variant]
            axis.barh(
                shifted, mib / plain, 0.15, color=colour, alpha=alpha, label=label
            )
    labels = [f"{name}\n{mib:.0f} MiB" for name, mib in zip(rows, plain, strict=True)]
    axis.set_yticks(places, labels, fontsize=8)
    axis.invert_yaxis()
    axis.set(
        title="peak memory of loading, plain = 1: anonymous (full), all resident (pale)"
    )
    _add_legend(axis)
    return None


def _draw_growth(axis: Axes, growth: dict[str, Any] | None) -> None:
    if not growth:
        return axis.set_axis_off()
    rows = list(growth["sizes"].values())
    megabytes = [row["megabytes"] for row in rows]
    for key, label, colour in (
        ("convert_s", "convert_keras", _COLOURS["protected"]),
        ("stock_s", "stock converter", _COLOURS["plain"]),
        ("locking_s", "locking and verifying", _COLOURS["multiplied"]),
    ):
        seconds = [row[key] for row in rows]
        axis.plot(megabytes, seconds, "o-", ms=5, color=colour, label=label)
    axis.set(
        title="conversion time", ylabel="s", xlabel="MB of weights", ylim=(0, None)
    )
    axis.grid(color="#eeeeee")
    _add_legend(axis)
    return None


def _add_legend(axis: Axes) -> None:
    """Between title and axes, where it hides nothing."""
    axis.legend(
        fontsize=9,
        ncols=5,
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
    )
    axis.set_title(axis.get_title(), pad=26)
