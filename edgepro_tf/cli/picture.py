"""The demo's picture: who gets which accuracy, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepro_tf.cli.showcase import Variant

_COLOURS = {
    "with its sidecar": "#1b7f5c",
    "public file alone": "#c8553d",
    "wrong key, mean": "#e0a458",
    "wrong key, worst": "#8c6a3f",
}


def draw_picture(
    path: Path,
    variants: Sequence[Variant],
    history: Mapping[str, Sequence[float]],
    *,
    title: str,
    chance: float,
    baseline: float,
) -> None:
    """Draw accuracy bars for each variant, and the lock training's two curves.

    Args:
        path: a .png; overwritten.
        variants: columns of the demo's table.
        history: Keras history of the lock training (``val_accuracy``,
            ``val_released_accuracy``).
        title: names the data set and the network.
        chance: accuracy of guessing, 0 to 1.
        baseline: accuracy of the network trained without a lock, 0 to 1.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (bars, curves) = plt.subplots(
        1, 2, figsize=(11, 4.2), width_ratios=(1.5, 1), layout="constrained"
    )
    for shift, (label, colour) in enumerate(_COLOURS.items()):
        heights = [100 * _heights(variant)[shift] for variant in variants]
        places = [place + 0.2 * (shift - 1.5) for place in range(len(variants))]
        drawn = bars.bar(places, heights, 0.19, label=label, color=colour)
        bars.bar_label(drawn, fmt="%.1f", fontsize=8, padding=1)
    bars.axhline(100 * baseline, color="#333333", lw=1, ls=":")
    bars.axhline(100 * chance, color="#888888", lw=1, ls="--")
    for text, value in (("unprotected", baseline), ("chance", chance)):
        bars.annotate(
            text, (1, 100 * value + 1), xycoords=("axes fraction", "data"),
            fontsize=8, ha="right",
        )  # fmt: skip
    bars.set_xticks(range(len(variants)), [variant.name for variant in variants])
    bars.set(ylabel="test accuracy, %", ylim=(0, 118), title=title)
    bars.legend(ncols=4, fontsize=8, loc="upper center", frameon=False)
    for key, label, colour in (
        ("val_accuracy", "authorized", _COLOURS["with its sidecar"]),
        ("val_released_accuracy", "released", _COLOURS["public file alone"]),
    ):
        if key in history:
            values = [100 * value for value in history[key]]
            curves.plot(range(1, len(values) + 1), values, color=colour, label=label)
    curves.set(xlabel="epoch", ylim=(0, 105), title="lock training (paper's preset)")
    curves.legend(fontsize=8, frameon=False)
    for axes in (bars, curves):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _heights(variant: Variant) -> tuple[float, float, float, float]:
    return (
        variant.tflite_authorized,
        variant.tflite_released,
        variant.wrong_mean,
        variant.wrong_worst,
    )
