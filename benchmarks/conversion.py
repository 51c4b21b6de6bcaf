"""Conversion time beside the stock converter's, and how it grows with the network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.bars import CONVERSION_RATIO, UNEXPLAINED_BY_LINE, judge
from benchmarks.ratios import rotate, summarize_ratios

if TYPE_CHECKING:
    import keras

    from converters.keras_export import ExportOptions

GROWING_MB = (1, 3, 10, 30, 100)


def measure_conversion(network: str, *, rounds: int) -> dict[str, Any]:
    """Seconds of ``convert_keras`` beside the stock converter, taking turns.

    Args:
        network: name of a network.
        rounds: conversions of each kind.

    Returns:
        Figures of an ordinary model, and of one under lock training, which the stock
        converter has to convert twice: authorized and released.
    """
    from benchmarks import networks
    from edgepro_tf.locking import lock_model

    model, options = networks.build_network(network), networks.export_options(network)
    ways = {"ordinary": model, "lock_trained": lock_model(model)}
    return {"rounds": rounds} | _time_conversions(model, ways, options, rounds)


def measure_growth(*, sizes_mb: tuple[float, ...], rounds: int) -> dict[str, Any]:
    """Seconds of converting growing networks, and straight lines through them."""
    from benchmarks import networks

    rows = []
    for megabytes in sizes_mb:
        model = networks.growing_network(megabytes)
        figures = _time_conversions(
            model, {"ordinary": model}, networks.export_options(""), rounds
        )
        rows.append({"megabytes": megabytes} | figures["ordinary"])
    return {
        "rounds": rounds,
        "sizes": {f"{row['megabytes']:g} MB": row for row in rows},
    } | {key: fit_line(rows, key) for key in ("convert_s", "locking_s")}


def _time_conversions(
    model: keras.Model,
    ways: dict[str, keras.Model],
    options: ExportOptions,
    rounds: int,
) -> dict[str, Any]:
    from converters import convert_keras
    from converters.keras_export import export_keras

    _warm_up()
    seconds: dict[str, list[float]] = {way: [] for way in ("stock", *ways)}
    locking: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in rotate(tuple(seconds), turn):
            started = time.perf_counter()
            if way == "stock":
                export_keras(model, options)
            else:
                protected = convert_keras(
                    ways[way],
                    number_format=options.number_format,
                    representative_dataset=options.representative_dataset,
                    inference_type=options.inference_type,
                )
                locking[way].append(protected.locking_s)
            seconds[way].append(time.perf_counter() - started)
    return {
        way: _summarize(seconds["stock"], seconds[way], locking[way]) for way in ways
    }


def _summarize(
    stock: list[float], convert: list[float], locking: list[float]
) -> dict[str, Any]:
    ratios = np.array(convert) / np.array(stock)
    figures = summarize_ratios(ratios[:, None])
    return figures | {
        "stock_s": float(np.median(stock)),
        "convert_s": float(np.median(convert)),
        "locking_s": float(np.median(locking)),
        "bar": judge(figures["ratio"], CONVERSION_RATIO),
    }


def _warm_up() -> None:
    """A process's first conversion pays for TensorFlow's imports and tables."""
    from benchmarks import networks
    from converters import convert_keras

    convert_keras(networks.growing_network(0.1))


def fit_line(rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """Least squares, and MB a second at both ends (constant, or rising, if linear)."""
    megabytes = np.array([row["megabytes"] for row in rows], float)
    seconds = np.array([row[key] for row in rows])
    slope, offset = np.polyfit(megabytes, seconds, 1)
    left = seconds - (slope * megabytes + offset)
    unexplained = float((left**2).sum() / ((seconds - seconds.mean()) ** 2).sum())
    return {
        "seconds_a_mb": float(slope),
        "offset_s": float(offset),
        "r_squared": 1 - unexplained,
        "mb_a_second": (megabytes / seconds)[[0, -1]].tolist(),
        "bar": judge(unexplained, UNEXPLAINED_BY_LINE),
    }
