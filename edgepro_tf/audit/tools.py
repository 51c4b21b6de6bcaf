"""What an attacker compiles: trainers over what may be learned, and the search."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from edgepro_tf.audit import training
from edgepro_tf.audit.searching import Group, Search, find_groups
from edgepro_tf.audit.sharing import compile_function, share, structure_of
from edgepro_tf.audit.spaces import (
    MIX_LIMIT,
    MixSpace,
    OrderSpace,
    SignSpace,
    WeightSpace,
)
from edgepro_tf.audit.thief import Budget, Target


def _built_once(build: Callable[[Any], Any]) -> Any:
    """A property made on first use, by one worker while the others wait."""

    def get(self: Tools) -> Any:
        with self._building:
            if build.__name__ not in self._built:
                self._built[build.__name__] = build(self)
            return self._built[build.__name__]

    return property(get, doc=build.__doc__)


class Tools:
    """Spaces, trainers and the search for one target; those of one structure share.

    ``rows`` is the number of examples that every compiled function is given.
    """

    rows: int

    def __init__(self, target: Target, budget: Budget) -> None:
        self.target, self.budget = target, budget
        self.network = target.network
        self._structure = structure_of(self.network)
        self._building = threading.RLock()
        self._built: dict[str, Any] = {}

    @_built_once
    def weights(self) -> training.Trainer:
        return self._trainer(WeightSpace(self.network))

    @_built_once
    def mix_space(self) -> MixSpace:
        layers = [
            i
            for i in self.target.readable_layers
            if self.network.linears[i].channels <= MIX_LIMIT
        ]
        return MixSpace(self.network, tuple(layers))

    @_built_once
    def mix(self) -> training.Trainer:
        return self._trainer(self.mix_space)

    @_built_once
    def mix_unlabelled(self) -> training.Trainer:
        return self._trainer(self.mix_space, training.information)

    @_built_once
    def sign_space(self) -> SignSpace:
        linears, layers = self.network.linears, self.target.masked_layers
        # Only the slower attacks mix rows; without them a factor for each is enough.
        mixes = self.budget.is_thorough
        mixed = [i for i in layers if not mixes or linears[i].channels <= MIX_LIMIT]
        return SignSpace(self.network, layers, tuple(mixed), mixes)

    @_built_once
    def signs(self) -> training.Trainer:
        return self._trainer(self.sign_space)

    @_built_once
    def signs_unlabelled(self) -> training.Trainer:
        return self._trainer(self.sign_space, training.information)

    @_built_once
    def order_space(self) -> OrderSpace:
        return OrderSpace(self.network, self.mix_space.layers)

    @_built_once
    def order(self) -> training.Trainer:
        return self._trainer(self.order_space)

    @_built_once
    def groups(self) -> tuple[Group, ...]:
        return find_groups(self.target)

    @_built_once
    def search(self) -> Search:
        return share(
            (self._structure, "search", self.groups),
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
        self, space: Any, loss: training.Loss = training.cross_entropy
    ) -> training.Trainer:
        most_steps = self.budget.most_steps
        return share(
            (self._structure, space.key, most_steps, loss.__name__),
            lambda: training.Trainer(
                self.network.forward, space.materialise, most_steps, loss
            ),
        )

    def _share(self, name: str, function: Callable[..., Any]) -> Any:
        return share((self._structure, name), lambda: compile_function(function))
