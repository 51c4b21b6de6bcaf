"""What a masked filter tells about the sign and the size of each element."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from scipy.stats import rankdata

from edgepro_tf.audit.network.importer import Linear
from edgepro_tf.audit.network.operators import DENSE
from edgepro_tf.audit.network.rows import filter_rows
from edgepro_tf.audit.statistics import area_from_ranks, true_order
from edgepro_tf.audit.target import Draw, Target

Areas = dict[str, list[float]]


def element_statistics(size: np.ndarray, one: Linear) -> dict[str, np.ndarray]:
    """Figures of every element of a masked filter.

    Args:
        size: float [rows, elements], magnitudes, a row a channel.
        one: the operator; a convolution's elements have places in a window.

    Returns:
        float64 arrays of the same shape, by name.
    """
    rows, count = size.shape
    log = np.log(np.maximum(size, 1e-12))
    shape = _window(one, size.shape)
    places = size.reshape(shape)
    found = {
        "size": size,
        "fraction": np.frexp(size)[0],
        "lowest bits": (size * 2.0**24 / 2.0 ** np.frexp(size)[1]) % 4096,
        "rank in its row": rankdata(size, axis=1),
        "rank in its column": rankdata(size, axis=0),
        "size less the row's mean": size - size.mean(1, keepdims=True),
        "size less the column's mean": size - size.mean(0),
        "surprise in row and column": log - log.mean(1, keepdims=True) - log.mean(0),
        "the row's norm": _spread(np.linalg.norm(size, axis=1), count),
        "the column's norm": np.tile(np.linalg.norm(size, axis=0), (rows, 1)),
        "the row's heaviness": _spread(
            (size**4).mean(1) / np.maximum((size**2).mean(1) ** 2, 1e-12), count
        ),
        "place": np.tile(np.arange(count), (rows, 1)),
        "neighbours": _neighbours(places).reshape(rows, count),
        "size beside its neighbours": size - _neighbours(places).reshape(rows, count),
    }
    if len(shape) == 4:
        _, height, width, _ = shape
        y, x = np.mgrid[:height, :width]
        away = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
        away = np.broadcast_to(away[None, :, :, None], shape)
        found["distance from the centre"] = away.reshape(rows, count)
    return {name: np.asarray(v, np.float64) for name, v in found.items()}


def true_elements(target: Target, draw: Draw, layer: int) -> np.ndarray:
    """float64 [rows, elements]: the authorized value of every public element."""
    one = target.network.linears[layer]
    free = filter_rows(target.authorized[one.filter], one.channel_axis)
    return free[true_order(target, draw, layer)]


def element_areas(target: Target, draws: list[Draw]) -> tuple[Areas, float]:
    """AUC of every statistic for a positive sign and for a large size, draw by draw.

    Returns:
        Areas over all masked layers together (ranks within a layer), one for each draw;
        and the largest area of one statistic in one layer, averaged over the draws.
    """
    pooled: Areas = defaultdict(list)
    single: Areas = defaultdict(list)
    for drawn in draws:
        ranks: dict[str, list[np.ndarray]] = defaultdict(list)
        truths: dict[str, list[np.ndarray]] = defaultdict(list)
        for layer in target.masked_layers:
            one = target.network.linears[layer]
            size = np.abs(filter_rows(drawn.values[one.filter], one.channel_axis))
            facts = _facts(true_elements(target, drawn, layer).reshape(-1))
            for statistic, values in element_statistics(size, one).items():
                rank = rankdata(values)
                ranks[statistic].append(rank / len(rank))
                for fact, truth in facts.items():
                    name = f"{fact} by {statistic}"
                    truths[name].append(truth)
                    area = area_from_ranks(rank, truth)
                    single[f"{name}, layer {layer}"].append(area)
        for statistic, parts in ranks.items():
            rank = rankdata(np.concatenate(parts))
            for fact in ("sign", "size"):
                truth = np.concatenate(truths[f"{fact} by {statistic}"])
                pooled[f"{fact} by {statistic}"].append(area_from_ranks(rank, truth))
    worst = max((abs(np.mean(v) - 0.5) for v in single.values()), default=0.0)
    return pooled, 0.5 + float(worst)


def _facts(true: np.ndarray) -> dict[str, np.ndarray]:
    """What the statistics are to tell of each element."""
    size = np.abs(true)
    return {"sign": true > 0, "size": size > np.median(size)}


def _window(one: Linear, shape: tuple[int, ...]) -> tuple[int, ...]:
    """[rows, height, width, depth] of a convolution's rows; a dense layer's as is."""
    if one.kind in DENSE:
        return shape
    height, width = one.window
    return (shape[0], height, width, shape[1] // (height * width))


def _spread(column: np.ndarray, count: int) -> np.ndarray:
    return np.repeat(column[:, None], count, axis=1)


def _neighbours(places: np.ndarray) -> np.ndarray:
    """Mean size of an element's neighbours: in its window, or along a dense row."""
    axes = (1, 2) if places.ndim == 4 else (1,)
    moved = [np.roll(places, step, axis) for axis in axes for step in (-1, 1)]
    return np.mean(moved, axis=0)
