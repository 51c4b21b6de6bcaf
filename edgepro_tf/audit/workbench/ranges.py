"""The ranges of activations that a quantised file states: measured, set, trained to."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.budget import Budget
from edgepro_tf.audit.network.forward import find_computed
from edgepro_tf.audit.network.importer import Linear, Network
from edgepro_tf.audit.network.rows import filter_rows, scale_rows
from edgepro_tf.audit.network.sharing import compile_function, share
from edgepro_tf.audit.target import Arrays, Target
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench import training
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.spaces import WeightSpace
from edgepro_tf.flatbuffer.views import Range

_LEAST = 1e-6  # Of a range that is divided by.
_ROUNDS, _NEAR = 4, 0.01  # A ceiling (ReLU6) hides how far beyond it a layer goes.
_BESIDE = 16  # Inputs that a step of training measures besides its labelled ones.


def has_ranges(network: Network) -> bool:
    """Whether the file states the range of every linear output."""
    ranges = network.ranges
    return all(_output_of(network, one) in ranges for one in network.linears)


def inputs_of(bench: Bench, thief: Thief) -> np.ndarray:
    """float32 [rows, ...]: inputs of a thief's with labels or without, repeated."""
    return repeat_rows(bench, np.concatenate([thief.x, thief.pool]))


def repeat_rows(bench: Bench, x: np.ndarray) -> np.ndarray:
    """As many as ranges are measured on, always, so that nothing compiles twice."""
    return x[np.arange(2 * bench.measured_rows) % len(x)]


def with_ranges(target: Target, ranges: Sequence[Range]) -> Target:
    """A target whose file states these ranges, in the order of ``Network.ranges``."""
    network = target.network
    stated = dict(zip(network.ranges, ranges, strict=True))
    changed = network.graph.ranges | stated
    for index in find_computed(network.graph):
        moved = network.find_moved(index)
        if moved is not None:
            changed[network.graph.nodes[index].outputs[0]] = changed[moved]
    graph = dataclasses.replace(network.graph, ranges=changed)
    return dataclasses.replace(
        target, network=dataclasses.replace(network, graph=graph)
    )


def measure_ranges(
    bench: Bench, parameters: Arrays, x: np.ndarray
) -> dict[int, tuple[float, float]]:
    """Least and greatest number of each activation of ``Network.ranges``, by tensor.

    Both with zero among them, as converters take them.

    Args:
        bench: the target's workbench.
        parameters: float32 arrays in the order of ``Network.parameters``.
        x: float32 [rows, ...], from ``inputs_of``.
    """
    bench.watch.check()
    network = bench.network
    tensors = tuple(network.ranges)
    run = share(
        (bench.tools.structure, "ranges", tensors),
        lambda: compile_function(functools.partial(_find_ranges, network, tensors)),
    )
    found = run([tf.constant(p) for p in parameters], tf.constant(x, tf.float32))
    return {t: (float(a), float(b)) for t, (a, b) in zip(tensors, found, strict=True)}


def match_ranges(
    bench: Bench,
    parameters: Arrays,
    x: np.ndarray,
    *,
    keeps_answers: bool = False,
    keeps_filters: bool = False,
) -> Arrays:
    """Scale and shift every layer, in order, until its output has the file's range.

    Where an activation function cuts numbers off below 0, the greatest one is matched,
    by scaling filter and bias; elsewhere the least one too, by the same shift of every
    channel. A filter that is used at several places gets the widest of their ranges.

    Source: layer-sequential initialisation of Mishkin and Matas, "All You Need is a
    Good Init", ICLR 2016, with the ranges of a calibration (Jacob et al., CVPR 2018,
    section 3.1) in the place of unit variance.

    Args:
        bench: the target's workbench.
        parameters: float32 arrays, the start.
        x: float32 [rows, ...], the thief's inputs.
        keeps_answers: leave the heads the range that they begin with: a network that
            is sure of nothing learns faster than one that is sure and wrong.
        keeps_filters: change biases alone, as far as that goes: every channel's mean
            to 0, then all by the same shift. Heads that keep their range are scaled.
    """
    network, out = bench.network, [np.array(p, np.float32) for p in parameters]
    uses = defaultdict(list)
    for one in network.linears:
        uses[one.filter].append(_output_of(network, one))
    first = measure_ranges(bench, out, x) if keeps_answers else {}
    ranges = network.ranges
    for layer, one in network.distinct_linears.items():
        tensors = uses[one.filter]
        wanted = _widest([ranges[t] for t in tensors])
        if one.is_head and keeps_answers:
            wanted = _widest([Range(*first[t], wanted.is_symmetric) for t in tensors])
        shifts_alone = keeps_filters and not (one.is_head and keeps_answers)
        if shifts_alone and one.bias is not None:
            out[one.bias] = out[one.bias] - bench.moments(out, x)[layer][0]
        for _ in range(_ROUNDS):
            measured = measure_ranges(bench, out, x)
            found = _widest([Range(*measured[t]) for t in tensors])
            gain, shift = _fit(found, wanted)
            if shifts_alone:
                gain, shift = 1.0, wanted.greatest - found.greatest
            out[one.filter] = out[one.filter] * np.float32(gain)
            if one.bias is not None:
                out[one.bias] = out[one.bias] * np.float32(gain) + np.float32(shift)
            if max(abs(gain - 1), abs(shift) / max(wanted.greatest, _LEAST)) < _NEAR:
                break
    return out


def size_filters(bench: Bench, parameters: Arrays) -> Arrays:
    """Every row of a quantised filter with its largest element as the file's scale has.

    Scales are shuffled among channels, and rows drawn at random have no places to
    lose: their sizes are the authorized network's.
    """
    out = list(parameters)
    for one in bench.network.distinct_linears.values():
        parameter, scales = (
            bench.network.parameters[one.filter],
            bench.network.scales[one.filter],
        )
        if parameter.levels is None:
            continue
        largest = np.abs(filter_rows(out[one.filter], one.channel_axis)).max(1)
        wanted = np.broadcast_to(scales.ravel(), largest.shape) * parameter.levels[1]
        factors = (wanted / np.maximum(largest, _LEAST)).astype(np.float32)
        out[one.filter] = scale_rows(out[one.filter], factors, one.channel_axis)
    return out


class RangeTrainer(training.Trainer):
    """Trains weights on labels while ranges are pulled to the file's.

    What is learned are the network's parameters; behind them stands what ``aim_at``
    makes, which stays as it is. Each step measures the ranges of its labelled examples
    and some more of the thief's inputs (``beside``).

    Args:
        network: of the target.
        budget: says how many steps, and examples a step.
    """

    def __init__(self, network: Network, budget: Budget) -> None:
        tensors, batch, task = tuple(network.ranges), budget.batch, network.task

        def forward(values: list[Any], x: Any) -> Any:
            *parameters, aim = values
            answers, found = network.forward_with(parameters, x, tensors)
            return answers[:batch], _distance(found, aim)

        def loss(measured: Any, targets: Any) -> Any:
            answers, distance = measured
            return task.loss(answers, targets[:batch]) + distance

        keep = WeightSpace().materialise
        super().__init__(forward, keep, budget.most_steps, loss)
        self._inputs: Any = None

    def beside(self, x: np.ndarray) -> RangeTrainer:
        """The same, compiled once, measuring these inputs, float32 [rows, ...]."""
        mine = copy.copy(self)
        mine._inputs = tf.constant(x, tf.float32)
        return mine

    def train(
        self, candidate: training.Candidate, x: Any, y: Any, batches: np.ndarray
    ) -> list[np.ndarray] | None:
        labelled, others = len(x), len(self._inputs)
        rng = np.random.default_rng(0)  # Which of them; who they are is the thief's.
        drawn = rng.integers(others, size=(len(batches), _BESIDE))
        return super().train(
            candidate,
            tf.concat([x, self._inputs], 0),
            tf.pad(y, [[0, others]] + [[0, 0]] * (len(y.shape) - 1)),
            np.concatenate([batches, labelled + drawn], 1),
        )

    def parameters(self, theta: Arrays, temperature: float = 1.0) -> list[np.ndarray]:
        return list(theta[:-1])


def make_trainer(bench: Bench, thief: Thief) -> RangeTrainer:
    """A range trainer over a thief's inputs; compiled once for a structure."""
    network, budget = bench.network, bench.budget
    key = (
        bench.tools.structure, "range trainer", tuple(network.ranges),
        budget.most_steps, budget.batch,
    )  # fmt: skip
    trainer: RangeTrainer = share(key, lambda: RangeTrainer(network, budget))
    return trainer.beside(inputs_of(bench, thief))


def aim_at(network: Network, pull: float, *, answers_alone: bool = False) -> np.ndarray:
    """float32 [activations, 4]: least, greatest, whether symmetric, and pull of each.

    Args:
        network: of the target.
        pull: of all together; 1 weighs ranges that are wrong by themselves as much as
            a cross-entropy of 1.
        answers_alone: whether only the last one is pulled, the logits': how sure the
            authorized network is.
    """
    ranges = list(network.ranges.values())
    aim = np.array([[r.least, r.greatest, r.is_symmetric, pull] for r in ranges])
    if answers_alone:
        aim[:-1, 3] = 0
    else:
        aim[:, 3] /= len(ranges)
    return aim.astype(np.float32)


def _find_ranges(
    network: Network, tensors: Sequence[int], parameters: list[Any], x: Any
) -> list[tuple[Any, Any]]:
    _, found = network.forward_with(parameters, x, tensors)
    return [_range_of(z) for z in found]


def _range_of(z: Any) -> tuple[Any, Any]:
    least, greatest = tf.reduce_min(z), tf.reduce_max(z)
    return tf.minimum(least, 0.0), tf.maximum(greatest, 0.0)


def _distance(found: Sequence[Any], aim: Any) -> Any:
    """Squared differences of least and greatest, in widths of the file's ranges."""
    total = 0.0
    for z, row in zip(found, tf.unstack(aim), strict=True):
        least, greatest, is_symmetric, pull = tf.unstack(row)
        low, high = _range_of(z)
        larger = tf.maximum(-low, high)
        low, high = (
            tf.where(is_symmetric > 0, symmetric, own)
            for symmetric, own in ((-larger, low), (larger, high))
        )
        off = tf.square(high - greatest) + tf.square(low - least)
        total += pull * off / tf.square(tf.maximum(greatest - least, _LEAST))
    return total


def _output_of(network: Network, one: Linear) -> int:
    return network.graph.nodes[one.node].outputs[0]


def _widest(ranges: list[Range]) -> Range:
    least, greatest = min(r.least for r in ranges), max(r.greatest for r in ranges)
    return Range(least, greatest, any(r.is_symmetric for r in ranges))


def _fit(found: Range, wanted: Range) -> tuple[float, float]:
    """Gain and shift that bring one range to the other."""
    if wanted.is_symmetric:
        larger = max(-found.least, found.greatest)
        return wanted.greatest / max(larger, _LEAST), 0.0
    if wanted.least == 0:
        return wanted.greatest / max(found.greatest, _LEAST), 0.0
    width = found.greatest - found.least
    gain = (wanted.greatest - wanted.least) / max(width, _LEAST)
    return gain, wanted.greatest - gain * found.greatest
