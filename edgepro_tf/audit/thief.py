"""The thief: the public file that he attacks, and the data that he has."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from edgepro_tf.audit.guessing import (
    StoredGuess,
    draw_stored,
    place_stored,
    redraw_tensor,
)
from edgepro_tf.locks import Step

if TYPE_CHECKING:
    from edgepro_tf.audit.network.importer import Network

Arrays = list[np.ndarray]
_VALIDATED = 90  # Examples that a choice should rest on, as far as folds go.


@dataclasses.dataclass(frozen=True, eq=False)
class Draw:
    """The constants of one public file.

    Args:
        values: in the order of ``Network.parameters``.
        orders: for each linear operator int [channels], the authorized channel that
            each public row is; None, or empty for all of them, where the rows' own bits
            have to tell.
    """

    values: Arrays = dataclasses.field(repr=False)
    orders: list[np.ndarray | None] = dataclasses.field(
        default_factory=list, repr=False
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A public model under attack, with what only the developer knows.

    Args:
        name: heading of the report.
        network: the public file, imported.
        authorized: the restored constants in the order of ``network.parameters``; only
            attacks that say so (``needs`` is ``developer``) read them.
        steps: the recipe's steps on each parameter, ``Step(0)`` for none. A recipe is
            public: every thief knows it.
        stored_channels: for each parameter the channels with a locking value, the
            secret that the paper's lock consists of.
        recipe: its name.
        exponent_range: of scale factors.
        content, payload: the pair itself, for measurements through the real core.
        undrawn: the constants with every draw undone and no locking value set; the
            public ones where nothing is drawn.
        scales: quantisation scales of the authorized constants, as ``Network.scales``;
            empty where there are none.
        scale_steps: the recipe's steps on them.
        orders: as in ``Draw``.
        output: name of the one that is attacked; None for the only one.
        base: the constants of the public network that this one was fine-tuned from, as
            ``authorized``, zeros for the heads; None where it is not known.
    """

    name: str
    network: Network = dataclasses.field(repr=False)
    authorized: Arrays = dataclasses.field(repr=False)
    steps: tuple[Step, ...]
    stored_channels: tuple[tuple[int, ...], ...] = dataclasses.field(repr=False)
    recipe: str
    exponent_range: int = 2
    content: bytes = dataclasses.field(default=b"", repr=False)
    payload: bytes = dataclasses.field(default=b"", repr=False)
    undrawn: Arrays | None = dataclasses.field(default=None, repr=False)
    scales: Arrays = dataclasses.field(default_factory=list, repr=False)
    scale_steps: tuple[Step, ...] = ()
    orders: list[np.ndarray | None] = dataclasses.field(
        default_factory=list, repr=False
    )
    output: str | None = None
    base: Arrays | None = dataclasses.field(default=None, repr=False)

    @property
    def public(self) -> Arrays:
        return list(self.network.values)

    @property
    def draw(self) -> Draw:
        return Draw(self.public, self.orders)

    @property
    def readable_layers(self) -> tuple[int, ...]:
        """Linear operators whose filter keeps its rows whole."""
        return self._layers_without(Step.SHUFFLE | Step.MASK)

    @property
    def masked_layers(self) -> tuple[int, ...]:
        """Linear operators whose filter has its rows in place, every element masked."""
        layers = self._layers_without(Step.SHUFFLE)
        return tuple(i for i in layers if self.has_step(i, Step.MASK))

    def _layers_without(self, steps: Step) -> tuple[int, ...]:
        layers = self.network.distinct_linears
        return tuple(i for i in layers if not self.has_step(i, steps))

    def has_step(self, layer: int, steps: Step) -> bool:
        """Whether the recipe does one of these to a linear operator's filter."""
        return bool(self.steps[self.network.linears[layer].filter] & steps)

    def is_hidden(self, parameter: int) -> bool:
        """Whether the recipe leaves nothing of a parameter that could be kept."""
        return bool(self.steps[parameter] & (Step.SHUFFLE | Step.MASK))

    def is_locked(self, parameter: int) -> bool:
        return bool(self.steps[parameter]) or bool(self.stored_channels[parameter])

    def guess(
        self, known: list[float], rng: np.random.Generator, *, fills: bool = False
    ) -> Arrays:
        """Constants restored by a lock of which a share is known, per parameter.

        ``fills``: stored rows that are not known go to wrong channels; a filter's and
        its bias' go to the same.
        """
        out = []
        places: dict[tuple[int, ...], StoredGuess] = {}
        for i, parameter in enumerate(self.network.parameters):
            axis, values = parameter.channel_axis, self.authorized[i]
            stored = self.stored_channels[i]
            if stored:
                if stored not in places:
                    channels = parameter.shape[axis]
                    places[stored] = draw_stored(
                        stored, channels, known[i], rng, fills=fills
                    )
                released = (self.undrawn or self.network.values)[i]
                values = place_stored(released, values, axis, places[stored])
            out.append(self._redraw(i, values, known[i], rng))
        return out

    def _redraw(
        self, i: int, values: np.ndarray, known: float, rng: np.random.Generator
    ) -> np.ndarray:
        parameter = self.network.parameters[i]
        scales = self.scales[i] if self.scales else np.ones(1, np.float32)
        drawn = redraw_tensor(
            values / scales, self.steps[i], parameter.channel_axis, known, rng,
            exponent_range=self.exponent_range, element_type=parameter.element_type,
            levels=parameter.levels, packed=parameter.packed,
        )  # fmt: skip
        if self.scale_steps and self.scale_steps[i]:
            scales = redraw_tensor(scales, self.scale_steps[i], 0, known, rng)
        return drawn * scales


@dataclasses.dataclass(frozen=True, eq=False)
class Thief:
    """One thief's data; inputs and labels by his own seed.

    Args:
        share: of the training data that he has labels for.
        x, y: labelled, int classes or float numbers; several inputs in one row
            (``flatten_inputs``).
        pool: inputs without labels.
    """

    share: float
    seed: int
    x: np.ndarray = dataclasses.field(repr=False)
    y: np.ndarray = dataclasses.field(repr=False)
    pool: np.ndarray = dataclasses.field(repr=False)

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator that depends on the seed and the purpose alone."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def draw_folds(self, least: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Held-out thirds of his data, so many at least; more when each is small."""
        size = max(1, len(self.y) // 3)
        count = max(least, min(3, -(-_VALIDATED // size)))
        return [rng.permutation(len(self.y))[:size] for _ in range(count)]

    def examples_but(self, held_out: np.ndarray) -> np.ndarray:
        """Numbers of his labelled examples without those that are held out."""
        return np.setdiff1d(np.arange(len(self.y)), held_out)
