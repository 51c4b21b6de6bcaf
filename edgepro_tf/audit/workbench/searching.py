"""Discrete search over a lock's draws, compiled: one proposal, one forward pass."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.network.importer import Network
from edgepro_tf.audit.network.rows import scale_rows
from edgepro_tf.audit.network.sharing import compile_function
from edgepro_tf.audit.target import Arrays, Target
from edgepro_tf.locks import Step

FLIP, FLIP_BOTH, DROP, SWAP, DOUBLE, HALVE = range(6)
_GREEDY = 0.25  # Share of the proposals; all greedy or all annealed found far less.


@dataclasses.dataclass(frozen=True)
class Group:
    """A constant whose channels are flipped, dropped, scaled or swapped.

    ``partner`` is the group of the same operator's bias, for flips of both at once.
    """

    parameter: int
    axis: int
    channels: int
    kinds: tuple[int, ...]
    partner: int = -1


@dataclasses.dataclass(frozen=True, eq=False)
class Proposals:
    """One change a step.

    Args:
        group, kind, first, second: int32 [proposals].
        temperature: float32 [proposals], 0 for greedy.
        draw: float32 [proposals], uniform.
    """

    group: np.ndarray
    kind: np.ndarray
    first: np.ndarray
    second: np.ndarray
    temperature: np.ndarray
    draw: np.ndarray


def find_groups(target: Target) -> tuple[Group, ...]:
    """What can be searched channel by channel, given the recipe."""
    network, groups = target.network, []
    for one in network.distinct_linears.values():
        filter_kinds = _kinds(target.steps[one.filter], is_filter=True)
        bias_kinds = () if one.bias is None else _kinds(target.steps[one.bias])
        if filter_kinds:
            partner = len(groups) + 1 if FLIP in bias_kinds else -1
            if FLIP in filter_kinds and partner >= 0:
                filter_kinds = (FLIP_BOTH, *filter_kinds)
            groups.append(
                Group(one.filter, one.channel_axis, one.channels, filter_kinds, partner)
            )
        if bias_kinds and filter_kinds:
            groups.append(Group(one.bias, 0, one.channels, bias_kinds))
    return tuple(groups)


def _kinds(steps: Step, *, is_filter: bool = False) -> tuple[int, ...]:
    """The changes that undo these steps; what is not locked may be dropped."""
    if steps & (Step.SHUFFLE | Step.MASK):
        return ()
    kinds = [FLIP] if steps & Step.SIGNS else []
    if steps & Step.ORDER:
        kinds.append(SWAP)
    if steps & Step.EXPONENTS:
        kinds += [DOUBLE, HALVE]
    if not steps and is_filter:
        kinds.append(DROP)
    return tuple(kinds)


def draw_proposals(
    groups: tuple[Group, ...], count: int, rng: np.random.Generator, heat: float
) -> Proposals:
    """First sweeps layer by layer, greedily; then anywhere, annealed."""
    sweep = [
        (g, kind, c)
        for g, group in enumerate(groups)
        for kind in group.kinds
        for c in rng.permutation(group.channels)
    ]
    greedy = round(_GREEDY * count)
    rows = [sweep[i % len(sweep)] for i in range(greedy)]
    rows += [sweep[i] for i in rng.integers(0, len(sweep), count - greedy)]
    group, kind, first = (
        np.array(column, np.int32) for column in zip(*rows, strict=True)
    )
    channels = np.array([g.channels for g in groups])[group]
    second = (rng.random(count) * channels).astype(np.int32)
    cooling = heat * np.linspace(1, 0, count - greedy)
    temperature = np.concatenate([np.zeros(greedy), cooling])
    return Proposals(
        group, kind, first, second,
        temperature.astype(np.float32), rng.random(count).astype(np.float32),
    )  # fmt: skip


class Search:
    """Greedy and annealed search, compiled once for one network and one data size.

    Source: Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing",
    Science 1983; greedy when the temperature is 0.
    """

    def __init__(self, network: Network, groups: tuple[Group, ...]) -> None:
        self._network, self._groups = network, groups
        self._run = compile_function(self._loop)

    def run(
        self, parameters: Arrays, x: Any, y: Any, proposals: Proposals
    ) -> tuple[Arrays, float]:
        """Search from the given parameters.

        Args:
            parameters: the network's.
            x: float32 [examples, ...].
            y: float32 [examples, ..., units], targets.
            proposals: from ``draw_proposals``.

        Returns:
            The best parameters met, and their loss.
        """
        fields = [
            tf.constant(getattr(proposals, field.name))
            for field in dataclasses.fields(proposals)
        ]
        values = [tf.constant(p, tf.float32) for p in parameters]
        out, loss = self._run(values, x, y, *fields)
        return [p.numpy() for p in out], float(loss)

    def _apply(self, parameters: list[Any], orders: Any, factors: Any) -> list[Any]:
        out = list(parameters)
        for group, order, factor in zip(self._groups, orders, factors, strict=True):
            rows = tf.gather(out[group.parameter], order, axis=group.axis)
            out[group.parameter] = scale_rows(rows, factor, group.axis)
        return out

    def _loop(
        self,
        parameters: list[Any],
        x: Any,
        y: Any,
        group: Any,
        kind: Any,
        first: Any,
        second: Any,
        temperature: Any,
        draw: Any,
    ) -> tuple[list[Any], Any]:
        def loss_of(orders: Any, factors: Any) -> Any:
            chosen = self._apply(parameters, orders, factors)
            return self._network.task.loss(self._network.forward(chosen, x), y)

        def body(t: Any, now: Any, now_loss: Any, best: Any, best_loss: Any) -> Any:
            there = _propose(self._groups, now, group[t], kind[t], first[t], second[t])
            loss = loss_of(*there)
            gain = now_loss - loss
            heat = tf.maximum(temperature[t], 1e-9)
            accepts = tf.logical_or(gain > 0, draw[t] < tf.exp(gain / heat))
            now = tf.nest.map_structure(
                lambda a, b: tf.where(accepts, a, b), there, now
            )
            now_loss = tf.where(accepts, loss, now_loss)
            is_best = now_loss < best_loss
            best = tf.nest.map_structure(
                lambda a, b: tf.where(is_best, a, b), now, best
            )
            return t + 1, now, now_loss, best, tf.minimum(now_loss, best_loss)

        start = (
            [tf.range(g.channels) for g in self._groups],
            [tf.ones([g.channels]) for g in self._groups],
        )
        loss = loss_of(*start)
        _, _, _, best, best_loss = tf.while_loop(
            lambda t, *_: t < group.shape[0], body, (0, start, loss, start, loss)
        )
        return self._apply(parameters, *best), best_loss


def _propose(
    groups: tuple[Group, ...], now: Any, which: Any, kind: Any, first: Any, second: Any
) -> Any:
    orders, factors = [], []
    partners = tf.constant([group.partner for group in groups])
    both = tf.where(tf.equal(kind, FLIP_BOTH), partners[which], -1)
    for g, (group, order, old) in enumerate(zip(groups, *now, strict=True)):
        here = tf.cast(tf.equal(which, g) | tf.equal(both, g), tf.float32)
        a, b = tf.one_hot(first, group.channels), tf.one_hot(second, group.channels)
        dropped = tf.where(tf.equal(old, 0), 1.0, 0.0)
        changed = tf.stack([-old, -old, dropped, old, 2 * old, 0.5 * old])[kind]
        factors.append(old + here * a * (changed - old))
        swaps = tf.cast(here, tf.int32) * tf.cast(tf.equal(kind, SWAP), tf.int32)
        a, b = tf.cast(a, tf.int32), tf.cast(b, tf.int32)
        difference = tf.reduce_sum(order * (b - a))
        orders.append(order + swaps * (a - b) * difference)
    return orders, factors
