"""What an attacker compiles: measurements, trainers of what may be learned, search."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from edgepro_tf.audit.budget import Budget
from edgepro_tf.audit.network.importer import Network
from edgepro_tf.audit.network.sharing import compile_function, share, structure_of
from edgepro_tf.audit.scoring.tasks import information
from edgepro_tf.audit.target import Target
from edgepro_tf.audit.workbench import training
from edgepro_tf.audit.workbench.searching import Group, Search, find_groups
from edgepro_tf.audit.workbench.spaces import (
    MIX_LIMIT,
    MixSpace,
    OrderSpace,
    SignSpace,
    WeightSpace,
)


class Tools:
    """Measurements, spaces, trainers and the search for one target.

    What is compiled is shared among targets of one structure.

    Args:
        target: what is attacked.
        budget: what it may cost.
        rows: the number of examples that every compiled function is given.

    ``structure`` is the network's, ``structure_of``: what else is compiled for it is
    shared by that, too.
    """

    def __init__(self, target: Target, budget: Budget, rows: int) -> None:
        self.target, self.budget, self.rows = target, budget, rows
        self.network = target.network
        self.structure = structure_of(self.network)

    @functools.cached_property
    def forward(self) -> Callable[..., Any]:
        return self._share("forward", self.network.forward)

    @functools.cached_property
    def gradient(self) -> Callable[..., Any]:
        measure = functools.partial(_measure_gradient, self.network)
        return self._share("gradient", measure)

    @functools.cached_property
    def moments(self) -> Callable[..., Any]:
        measure = functools.partial(_measure_moments, self.network)
        return self._share("moments", measure)

    @functools.cached_property
    def normal_moments(self) -> Callable[..., Any]:
        """The same, every layer reading what is normalised."""
        measure = functools.partial(_measure_moments, self.network, normalises=True)
        return self._share("normal moments", measure)

    @functools.cached_property
    def weights(self) -> training.Trainer:
        return self._trainer(WeightSpace())

    @functools.cached_property
    def mix_space(self) -> MixSpace:
        layers = [
            i
            for i in self.target.readable_layers
            if self.network.linears[i].channels <= MIX_LIMIT
        ]
        return MixSpace(self.network, tuple(layers))

    @functools.cached_property
    def mix(self) -> training.Trainer:
        return self._trainer(self.mix_space)

    @functools.cached_property
    def mix_unlabelled(self) -> training.Trainer:
        return self._trainer(self.mix_space, information)

    @functools.cached_property
    def sign_space(self) -> SignSpace:
        linears, layers = self.network.linears, self.target.masked_layers
        # Only the slower attacks mix rows; without them a factor for each is enough.
        mixes = self.budget.is_thorough
        mixed = [i for i in layers if not mixes or linears[i].channels <= MIX_LIMIT]
        return SignSpace(self.network, layers, tuple(mixed), mixes)

    @functools.cached_property
    def signs(self) -> training.Trainer:
        return self._trainer(self.sign_space)

    @functools.cached_property
    def signs_unlabelled(self) -> training.Trainer:
        return self._trainer(self.sign_space, information)

    @functools.cached_property
    def order_space(self) -> OrderSpace:
        return OrderSpace(self.network, self.mix_space.layers)

    @functools.cached_property
    def order(self) -> training.Trainer:
        return self._trainer(self.order_space)

    @functools.cached_property
    def groups(self) -> tuple[Group, ...]:
        return find_groups(self.target)

    @functools.cached_property
    def search(self) -> Search:
        return share(
            (self.structure, "search", self.groups),
            lambda: Search(self.network, self.groups),
        )

    @property
    def search_proposals(self) -> int:
        """As many as the sweeps ask for, and the budget's multiplications allow."""
        wanted = self.budget.sweeps * sum(
            len(group.kinds) * group.channels for group in self.groups
        )
        rows = min(self.budget.search_rows, self.rows)
        affordable = self.budget.search_work / (rows * self.network.multiplications)
        return max(16, min(wanted, int(affordable)))

    def _trainer(
        self, space: Any, loss: training.Loss | None = None
    ) -> training.Trainer:
        most_steps, loss = self.budget.most_steps, loss or self.network.task.loss
        return share(
            (self.structure, space, most_steps, loss.__name__),
            lambda: training.Trainer(
                self.network.forward, space.materialise, most_steps, loss
            ),
        )

    def _share(self, name: str, function: Callable[..., Any]) -> Any:
        return share((self.structure, name), lambda: compile_function(function))


def _measure_moments(
    network: Network, parameters: list[Any], x: Any, *, normalises: bool = False
) -> list[Any]:
    """Mean and deviation of every linear output; a floor for those of no width."""
    found: list[Any] = []

    def observe(layer: int, z: Any) -> Any:
        flat = tf.reshape(z, [-1, z.shape[-1]])
        mean = tf.reduce_mean(flat, 0)
        deviation = tf.maximum(tf.math.reduce_std(flat, 0), 1e-3)
        if network.linears[layer].bias is None:
            mean = tf.zeros_like(mean)  # There is nothing to shift it with.
        found.append((mean, deviation))
        return (z - mean) / deviation if normalises else z

    network.forward(parameters, x, observe)
    return found


def _measure_gradient(network: Network, parameters: list[Any], x: Any, y: Any) -> Any:
    return training.differentiate(
        lambda p: network.task.loss(network.forward(p, x), y), parameters
    )
