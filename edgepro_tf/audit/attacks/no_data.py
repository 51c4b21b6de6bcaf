"""The public file alone: statistics that might betray neurons, signs and orders."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from scipy.optimize import quadratic_assignment

from edgepro_tf.audit import statistics
from edgepro_tf.audit.attack import NOTHING, Attack, Outcome
from edgepro_tf.audit.element_statistics import true_elements
from edgepro_tf.audit.network.rows import drop_rows, filter_rows, scale_rows
from edgepro_tf.audit.target import Arrays, Draw, relock
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.locks import SEED_BYTES, Step

_REDRAWS = 20


def read_signs(bench: Bench, thief: Thief) -> Outcome:
    """Guess each channel's sign from a statistic; flip accordingly; measure.

    The area under the curve of every statistic is averaged over fresh draws of the same
    lock, so that one lucky draw betrays nothing.

    Source: Adi et al. and others look for watermarks so; statistics as listed.
    """
    target, rng = bench.target, thief.rng("signs")
    layers = [i for i in target.readable_layers if target.has_step(i, Step.SIGNS)]
    if not layers:
        return bench.does_not_apply("no sign is drawn by channel")
    areas: dict[str, list[float]] = defaultdict(list)
    for _ in range(_REDRAWS):
        drawn = Draw(target.guess([0.0] * len(target.steps), rng))
        pooled: dict[str, list[np.ndarray]] = defaultdict(list)
        truth: dict[str, list[np.ndarray]] = defaultdict(list)
        for layer in layers:
            signs = statistics.true_signs(target, drawn, layer)
            for name, v in statistics.row_statistics(
                target, drawn.values, layer
            ).items():
                pooled[name].append(statistics.rankdata(v) / len(v))
                truth[name].append(signs > 0)
        for name, parts in pooled.items():
            area = statistics.area_under_curve(
                np.concatenate(parts), np.concatenate(truth[name])
            )
            areas[name].append(area)
    return _outcome(bench, areas, layers)


def find_neurons(bench: Bench, thief: Thief) -> Outcome:
    """Point out authorization neurons by a statistic; drop the likeliest; measure."""
    del thief
    target = bench.target
    stored = {
        layer: target.stored_channels[one.filter]
        for layer, one in enumerate(target.network.linears)
        if target.stored_channels[one.filter]
    }
    if not stored:
        return bench.does_not_apply("no authorization neurons")
    areas: dict[str, list[float]] = defaultdict(list)
    for layer, channels in stored.items():
        truth = np.isin(np.arange(target.network.linears[layer].channels), channels)
        found = statistics.row_statistics(target, target.public, layer)
        for name, values in found.items():
            areas[name].append(statistics.area_under_curve(values, truth))
    best = _best(areas)
    sign = 1 if np.mean(areas[best]) > 0.5 else -1
    out = target.public
    for layer, channels in stored.items():
        one = target.network.linears[layer]
        scores = sign * statistics.row_statistics(target, out, layer)[best]
        dropped = np.argsort(-scores)[: len(channels)]
        out[one.filter] = drop_rows(out[one.filter], dropped, one.channel_axis)
    details = statistics.summarise_areas(areas)
    return Outcome(bench.accuracy(out), f"dropped by {best}", details)


def drop_and_clip(bench: Bench, thief: Thief) -> Outcome:
    """Drop the channels, or clip the elements, that stand out.

    Source: Liu, Dolan-Gavitt and Garg, "Fine-Pruning", RAID 2018, for dropping;
    clipping at a quantile is winsorising (Dixon 1960).
    """
    target, variants = bench.target, {}
    for share in _OUTLIERS:
        dropped, clipped = target.public, target.public
        for one in target.network.distinct_linears.values():
            w = target.public[one.filter]
            norm = np.linalg.norm(filter_rows(w, one.channel_axis), axis=1)
            far = np.abs(norm / max(1e-12, float(np.median(norm))) - 1)
            farthest = np.argsort(-far)[: round(share * one.channels)]
            dropped[one.filter] = drop_rows(w, farthest, one.channel_axis)
            most = np.quantile(np.abs(w), 1 - share)
            clipped[one.filter] = np.clip(w, -most, most)
        variants[f"{share:.0%} of the channels dropped"] = dropped
        variants[f"{share:.0%} of the elements clipped"] = clipped
    return bench.choose_unlabelled(variants.items(), thief)


_OUTLIERS = (0.02, 0.05, 0.1, 0.2, 0.4)


def match_readers(bench: Bench, thief: Thief) -> Outcome:
    """Put rows in order by how alike they are and how alike they are read.

    Rows that resemble each other should be read alike: a quadratic assignment between
    the likeness of rows and the likeness of the next layer's columns. Where signs are
    hidden element by element, the likeness is that of magnitudes.

    Source: Vogelstein et al., "Fast Approximate Quadratic Programming for Graph
    Matching", PLOS ONE 2015, as in scipy.
    """
    rng = thief.rng("readers")

    def arrange(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        found = quadratic_assignment(
            np.abs(statistics.cosines(columns, columns)),
            np.abs(statistics.cosines(rows, rows)),
            method="faq",
            options={"maximize": True, "rng": rng},
        )
        return np.asarray(found.col_ind)

    out, details = _arrange(bench, arrange)
    if not details:
        return bench.does_not_apply(_NO_ORDER)
    return Outcome(bench.accuracy(out), details=details)


def order_by_norms(bench: Bench, thief: Thief) -> Outcome:
    """Put rows in order by rank: their figures against those of what reads them.

    A strong channel may be read weakly (or strongly): norms, flatness and heaviness of
    rows are ranked against those of the next layer's columns, both ways.

    Source: ours; the invariance is Neyshabur et al., "Path-SGD", NIPS 2015, section 2.
    """
    variants: dict[str, Arrays] = {}
    placed: dict[str, dict[str, float]] = {}
    for name, figure in _FIGURES.items():
        for way in (1, -1):

            def arrange(rows, columns, figure=figure, way=way):  # type: ignore[no-untyped-def]
                order = np.empty(len(rows), int)
                order[np.argsort(figure(columns))] = np.argsort(way * figure(rows))
                return order

            out, details = _arrange(bench, arrange)
            if not details:
                return bench.does_not_apply(_NO_ORDER)
            label = f"{name}, {'alike' if way > 0 else 'opposed'}"
            variants[label], placed[label] = out, details
    chosen = bench.choose_unlabelled(variants.items(), thief)
    most = max(details["rows_placed_right"] for details in placed.values())
    return dataclasses.replace(
        chosen,
        details=chosen.details
        | placed[chosen.chosen]
        | {"most_rows_placed_right": most},
    )


_FIGURES = {
    "norm": lambda w: np.linalg.norm(w, axis=1),
    "flatness": lambda w: (
        np.abs(w).sum(1) / np.maximum(np.linalg.norm(w, axis=1), 1e-12)
    ),
    "heaviness": lambda w: (w**4).sum(1) / np.maximum((w**2).sum(1) ** 2, 1e-12),
}
_NO_ORDER = "no order is drawn"


def _arrange(
    bench: Bench, arrange: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[Arrays, dict[str, float]]:
    """Public constants with rows ordered anew, and how many came to their places.

    ``arrange`` gets rows and the columns that read them, [channels, elements] each, and
    says which row belongs to which column.
    """
    target = bench.target
    out, right, total, chance = target.public, 0, 0, 0.0
    for layer in sorted((*target.readable_layers, *target.masked_layers)):
        one = target.network.linears[layer]
        columns = statistics.reader_columns(target, out, layer)
        if columns is None or not target.has_step(layer, Step.ORDER):
            continue
        rows = filter_rows(out[one.filter], one.channel_axis)
        if target.has_step(layer, Step.MASK):
            rows, columns = np.abs(rows), np.abs(columns)
        order = arrange(rows, columns)
        true = statistics.true_order(target, target.draw, layer)[order]
        right += int((true == np.arange(one.channels)).sum())
        total, chance = total + one.channels, chance + 1
        out[one.filter] = np.take(out[one.filter], order, one.channel_axis)
    if not total:
        return out, {}
    return out, {"rows_placed_right": right / total, "by_chance": chance / total}


def compare_versions(bench: Bench, thief: Thief) -> Outcome:
    """Two files of one network, locked by two seeds: keep what is alike, merge.

    Rows are paired first (where they are in another order, the thief is told): then the
    product of the two masks is known, and says nothing of either.
    (Two sidecars of one file carry the same lock: their difference is nil.)
    """
    target = bench.target
    second = relock(target, thief.rng("versions").bytes(SEED_BYTES))
    paired, details = _pair_rows(bench, second)
    variants = {}
    for name, other in (("", second.values), ("paired rows, ", paired)):
        pairs = list(zip(target.public, other, strict=True))
        variants |= {
            f"{name}mean": [(a + b) / 2 for a, b in pairs],
            f"{name}what is alike": [
                np.where(a == b, a, 0).astype(np.float32) for a, b in pairs
            ],
        }
    pairs = list(zip(target.public, second.values, strict=True))
    locked = [(a == b).mean() for i, (a, b) in enumerate(pairs) if target.is_locked(i)]
    same = float(np.mean(locked)) if locked else 1.0
    chosen = bench.choose_unlabelled(variants.items(), thief)
    details |= chosen.details | {"elements_alike_in_locked_tensors": same}
    return dataclasses.replace(chosen, details=details)


def _pair_rows(bench: Bench, second: Draw) -> tuple[Arrays, dict[str, float]]:
    """The second version's rows in the first one's order.

    The details say how alike the signs of both are once the rows are paired, and the
    AUC with which their product tells the authorized sign of an element.
    """
    target, out = bench.target, list(second.values)
    products, signs = [np.empty(0)], [np.empty(0)]
    for layer in (*target.readable_layers, *target.masked_layers):
        one = target.network.linears[layer]
        mine = statistics.true_order(target, target.draw, layer)
        theirs = np.argsort(statistics.true_order(target, second, layer))
        w = np.take(second.values[one.filter], theirs[mine], one.channel_axis)
        out[one.filter] = w
        if target.has_step(layer, Step.MASK):
            first = target.public[one.filter]
            products.append(
                filter_rows(np.sign(first * w), one.channel_axis).reshape(-1)
            )
            signs.append(true_elements(target, target.draw, layer).reshape(-1))
    product, sign = np.concatenate(products), np.concatenate(signs)
    if not len(product):
        return out, {}
    area = statistics.area_under_curve(product, sign > 0)
    return out, {
        "signs_alike_in_paired_rows": float(np.mean(product > 0)),
        "auc_of_product": max(area, 1 - area),
    }


def _outcome(bench: Bench, areas: dict[str, list[float]], layers: list[int]) -> Outcome:
    """Flip by the best statistic's rule; the accuracy that this gives."""
    best = _best(areas)
    direction = 1 if np.mean(areas[best]) > 0.5 else -1
    out = bench.target.public
    for layer in layers:
        one = bench.network.linears[layer]
        values = statistics.row_statistics(bench.target, out, layer)[best]
        sign = np.where(direction * (values - np.median(values)) >= 0, 1.0, -1.0)
        flipped = scale_rows(out[one.filter], sign, one.channel_axis)
        out[one.filter] = flipped.astype(np.float32)
    details = statistics.summarise_areas(areas)
    return Outcome(bench.accuracy(out), f"by {best}", details)


def _best(areas: dict[str, list[float]]) -> str:
    return max(areas, key=lambda name: abs(np.mean(areas[name]) - 0.5))


ATTACKS = (
    Attack("signs from statistics", "no data", "ours", NOTHING, read_signs),
    Attack(
        "authorization neurons from statistics", "no data",
        "Liu et al. (Fine-Pruning), RAID 2018, read the other way round", NOTHING,
        find_neurons,
    ),
    Attack(
        "outliers dropped or clipped", "no data", "Liu et al., RAID 2018; Dixon 1960",
        NOTHING, drop_and_clip,
    ),
    Attack(
        "order from readers", "no data", "Vogelstein et al., PLOS ONE 2015", NOTHING,
        match_readers,
    ),
    Attack(
        "order from norms of adjacent layers", "no data", "Neyshabur et al., NIPS 2015",
        NOTHING, order_by_norms,
    ),
    Attack("two versions compared", "no data", "ours", NOTHING, compare_versions),
)  # fmt: skip
