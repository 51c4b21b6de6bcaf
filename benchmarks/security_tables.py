"""Tables and the picture of the security benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgepro_tf.audit.reporting.advantage import deviation

Row = dict[str, Any]
_BAR = 2.0  # Points: the project's own bar.


def format_tables(rows: list[Row]) -> str:
    """Markdown: a table a bar, a line a network, a column a recipe."""
    shares = [one["share"] for one in rows[0]["advantages"]] if rows else []
    parts = [
        _table(rows, "Authorized loss, points", lambda r: _points(_loss(r))),
        _table(rows, "Released, % (chance)", lambda r: (
            f"{_percent(r['released'])} ({_percent(r['chance'])})")),
        _table(rows, "Wrong locks, %: mean / worst of all", lambda r: (
            f"{_percent(r['wrong_mean'])} / {_percent(r['wrong_worst'])} "
            f"of {r['wrong_count']}")),
        _table(rows, "One layer's lock missing, %: best over layers", lambda r: (
            _percent(r["one_layer_missing"]))),
        _table(rows, "One bit of the seed wrong, %: mean / worst", lambda r: (
            f"{_percent(r['one_bit_mean'])} / {_percent(r['one_bit_worst'])}")),
    ]  # fmt: skip
    for position, share in enumerate(shares):
        title = (
            f"Thief's advantage with {share:.0%} of the data, points: mean ± spread "
            "(standard error; held out; by luck), best attack"
        )
        parts.append(_table(rows, title, lambda r, p=position: _advantage(r, p)))  # type: ignore[misc]
    parts += [
        _table(rows, "Worst AUC of a statistic for signs or neurons", lambda r: (
            "-" if r["worst_area"] is None
            else f"{r['worst_area']:.3f}, {r['worst_area_by']}")),
        _table(rows, "Best attack without labels, %", lambda r: (
            f"{_percent(r['without_labels'])}, {r['without_labels_by']}")),
        _table(rows, "Secret: payload, bytes", lambda r: f"{r['payload_bytes']:,}"),
        _table(rows, "Rewritten on load, bytes (of the model)", lambda r: (
            f"{r['bytes_rewritten']:,} "
            f"({r['bytes_rewritten'] / r['model_bytes']:.0%})")),
        _table(rows, "Restoring, ms", lambda r: f"{r['restore_ms']:.2f}"),
    ]  # fmt: skip
    return "\n\n".join(parts)


def draw_picture(rows: list[Row], path: Path) -> None:
    """Advantage per recipe, a panel a share of the data, a mark a network.

    Args:
        rows: as ``benchmarks.security`` makes them.
        path: .png or .svg; overwritten.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    recipes, subjects = _names(rows, "recipe"), _names(rows, "subject")
    shares = [one["share"] for one in rows[0]["advantages"]]
    figure, panels = plt.subplots(
        1, len(shares), figsize=(4 * len(shares), 4.2), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for position, (share, panel) in enumerate(zip(shares, panels[0], strict=True)):
        panel.axhline(0, color="#888888", lw=1)
        panel.axhline(_BAR, color="#c8553d", ls=":", lw=1)
        for number, subject in enumerate(subjects):
            mine = [r for r in rows if r["subject"] == subject]
            shift = 0.6 * ((number + 0.5) / len(subjects) - 0.5)
            found = [r["advantages"][position] for r in mine]
            panel.errorbar(
                [recipes.index(r["recipe"]) + shift for r in mine],
                [100 * one["value"] for one in found],
                yerr=[  # One thief has no error, and gets no bar.
                    100 * (math.nan if one["error"] is None else one["error"])
                    for one in found
                ],
                fmt="o", ms=4, lw=1, label=subject, color=f"C{number % 10}",
            )  # fmt: skip
        panel.set_xticks(range(len(recipes)), recipes, rotation=20)
        panel.set_title(f"{share:.0%} of the data", fontsize=10)
    panels[0][0].set_ylabel("thief's advantage, points")
    panels[0][-1].legend(fontsize=7, frameon=False)
    figure.suptitle("Best attack minus training from nothing, with standard errors")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _table(rows: list[Row], title: str, show: Callable[[Row], str]) -> str:
    recipes = _names(rows, "recipe")
    cells = {(r["subject"], r["recipe"]): show(r) for r in rows}
    lines = [f"**{title}**", "", f"| network | {' | '.join(recipes)} |"]
    lines.append(f"|---|{'---|' * len(recipes)}")
    for subject in _names(rows, "subject"):
        found = [cells.get((subject, recipe), "") for recipe in recipes]
        lines.append(f"| {subject} | {' | '.join(found)} |")
    return "\n".join(lines)


def _names(rows: list[Row], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))


def _loss(row: Row) -> float:
    return float(row["unprotected"] - row["authorized"])


def _advantage(row: Row, position: int) -> str:
    one = row["advantages"][position]
    return (
        f"{_points(one['value'])} ± {deviation(one['spread'])} "
        f"({deviation(one['error'])}; {_points(one['held_out'])}; "
        f"{_points(one['luck'])}), {one['attack']}"
    )


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
