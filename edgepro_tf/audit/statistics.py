"""What statistics of a public file tell about its lock, without any data."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.optimize import linear_sum_assignment
from scipy.stats import kurtosis, rankdata, skew

from edgepro_tf.audit.network.importer import Linear
from edgepro_tf.audit.network.rows import filter_rows, scale_rows
from edgepro_tf.locks import Step

if TYPE_CHECKING:
    from edgepro_tf.audit.target import Arrays, Draw, Target

Columns = dict[str, np.ndarray]


def row_statistics(target: Target, parameters: Arrays, layer: int) -> Columns:
    """Figures of every channel of a layer, each float64 [channels].

    Norms, means, skewness, kurtosis, extremes of its row; likeness to the mean row; its
    bias; and the product of its norm with the norm of what reads it.
    """
    one = target.network.linears[layer]
    rows = filter_rows(parameters[one.filter], one.channel_axis)
    norm = np.linalg.norm(rows, axis=1)
    with np.errstate(all="ignore"):
        found = {
            "norm": norm,
            "flatness": np.abs(rows).sum(1) / np.maximum(norm, 1e-12),
            "mean": rows.mean(1),
            "skewness": skew(rows, axis=1),
            "kurtosis": kurtosis(rows, axis=1),
            "largest": rows.max(1),
            "likeness to the mean row": rows @ rows.mean(0) / np.maximum(norm, 1e-12),
            "outlier of norm": np.abs(norm - np.median(norm)),
        }
    if one.bias is not None:
        found["bias"] = np.asarray(parameters[one.bias], np.float64)
        found["size of bias"] = np.abs(found["bias"])
    readers = reader_columns(target, parameters, layer)
    if readers is not None:
        found["norm times reader's norm"] = norm * np.linalg.norm(readers, axis=1)
        found["mean of reader's column"] = readers.mean(1)
    found = {name: np.nan_to_num(value) for name, value in found.items()}
    found["belongs to the smaller cluster"] = _smaller_cluster(found)
    return found


def _smaller_cluster(columns: Columns) -> np.ndarray:
    """float64 [channels]: how much nearer the centre of the smaller of two clusters.

    Source: Chen et al., "Detecting Backdoor Attacks by Activation Clustering", 2018,
    on statistics of rows in the place of activations; MacQueen 1967.
    """
    points = np.stack(list(columns.values()), axis=1)
    points = (points - points.mean(0)) / np.maximum(points.std(0), 1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A cluster may be empty.
        centres, groups = kmeans2(points, 2, minit="++", rng=0)
    smaller = int(np.argmin(np.bincount(groups, minlength=2)))
    away = np.linalg.norm(points[:, None] - centres, axis=2)
    return away[:, 1 - smaller] - away[:, smaller]


def reader_columns(target: Target, parameters: Arrays, layer: int) -> np.ndarray | None:
    """float64 [channels, elements]: how the next linear operator reads each channel.

    None where the next one in the file does not read this layer's channels as they are.
    """
    linears = target.network.linears
    one: Linear = linears[layer]
    if layer + 1 >= len(linears):
        return None
    after = linears[layer + 1]
    w = np.asarray(parameters[after.filter], np.float64)
    w = np.moveaxis(w, after.channel_axis, 0)
    if after.kind == "DEPTHWISE_CONV_2D" or w.shape[-1] % one.channels:
        return None
    columns = np.moveaxis(w, -1, 0)  # A flattened image keeps its channels last.
    columns = columns.reshape(-1, one.channels, *columns.shape[1:])
    return np.moveaxis(columns, 1, 0).reshape(one.channels, -1)


def area_under_curve(scores: np.ndarray, truth: np.ndarray) -> float:
    """AUC of scores for a boolean truth; 0.5 where only one kind is there.

    Source: Mann and Whitney 1947, with mid-ranks for ties.
    """
    return area_from_ranks(rankdata(scores), truth)


def area_from_ranks(ranks: np.ndarray, truth: np.ndarray) -> float:
    """AUC from the scores' ranks, which several truths may share."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return 0.5
    above = ranks[truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def summarise_areas(areas: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Details of an outcome: means of areas by statistic, either way round; the best.

    Args:
        areas: AUC of each statistic, one for each draw or layer.
    """
    means = {name: float(np.mean(found)) for name, found in areas.items()}
    two_sided = {name: max(v, 1 - v) for name, v in means.items()}
    return {"auc": max(two_sided.values()), "auc_by_statistic": two_sided}


def true_signs(target: Target, draw: Draw, layer: int) -> np.ndarray:
    """float64 [channels]: the sign between each public row and its true one."""
    one = target.network.linears[layer]
    locked = filter_rows(draw.values[one.filter], one.channel_axis)
    free = filter_rows(target.authorized[one.filter], one.channel_axis)
    return np.sign((locked * free[true_order(target, draw, layer)]).sum(1))


def true_order(target: Target, draw: Draw, layer: int) -> np.ndarray:
    """int [channels]: the authorized channel that each public row is."""
    if draw.orders and draw.orders[layer] is not None:
        return draw.orders[layer]
    one = target.network.linears[layer]
    if not target.has_step(layer, Step.ORDER):
        return np.arange(one.channels)
    return find_order(draw.values[one.filter], target.authorized[one.filter], one)


def find_order(locked: np.ndarray, free: np.ndarray, one: Linear) -> np.ndarray:
    """The authorized channel of each row of an operator's locked filter.

    Rows are known by the lowest bits of their elements, which no step on whole channels
    changes; failing that by their likeness.
    """
    rows = [
        np.moveaxis(w, one.channel_axis, 0).reshape(one.channels, -1)
        for w in (locked, free)
    ]
    order = pair_rows(*map(_lowest_bits, rows))
    if order is not None:
        return order
    likeness = cosines(*map(np.abs, rows))
    return np.asarray(linear_sum_assignment(-likeness)[1])


def pair_rows(locked: np.ndarray, free: np.ndarray) -> np.ndarray | None:
    """int [rows]: the row of ``free`` that equals each of ``locked``; None if not all.

    Equal rows are dealt out one by one.
    """
    places: dict[bytes, list[int]] = {}
    for number, row in enumerate(free):
        places.setdefault(row.tobytes(), []).append(number)
    found = [places.get(row.tobytes(), []) for row in locked]
    order = np.array([here.pop() if here else -1 for here in found])
    return order if np.all(order >= 0) else None


def _lowest_bits(rows: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32)
    return bits & np.uint32(0xFFF)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of every row of a with every row of b."""
    a = a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12)
    b = b / np.maximum(np.linalg.norm(b, axis=1, keepdims=True), 1e-12)
    return a @ b.T


def undo_signs(target: Target, parameters: Arrays, layers: Iterable[int]) -> Arrays:
    """Rows flipped so that each is skewed to the right, as trained rows mostly are.

    Measured: on a dense layer behind a ReLU this finds 4 signs of 5, without any data.
    """
    out = list(parameters)
    for layer in layers:
        one = target.network.linears[layer]
        rows = filter_rows(out[one.filter], one.channel_axis)
        with np.errstate(all="ignore"):
            sign = np.where(skew(rows, axis=1) < 0, -1.0, 1.0).astype(np.float32)
        out[one.filter] = scale_rows(out[one.filter], sign, one.channel_axis)
    return out
