"""What a thief may learn: weights, or locks over frozen public weights.

Each space says how the numbers that are learned become a network's parameters. Spaces
over the same layers are equal: what is compiled for one serves networks of a structure.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.network.importer import Linear, Network
from edgepro_tf.audit.network.rows import scale_rows

_SINKHORN_ROUNDS = 12
MIX_LIMIT = 512  # Channels beyond which a mixing matrix costs more than the filter.


@dataclasses.dataclass(frozen=True)
class WeightSpace:
    """The parameters themselves: fine-tuning."""

    def materialise(self, theta: list[Any], temperature: Any) -> list[Any]:
        del temperature
        return list(theta)


@dataclasses.dataclass(frozen=True)
class MixSpace:
    """A matrix per layer over the rows of its filter; biases are learned as they are.

    With only the diagonal free these are scale factors (signs included); with all of
    it, any order, sign, scale or combination of the public rows.

    Args:
        layers: positions in ``network.linears`` that get a matrix.
    """

    network: Network = dataclasses.field(compare=False)
    layers: tuple[int, ...]

    def start(self, parameters: list[np.ndarray]) -> list[np.ndarray]:
        eyes = [np.eye(c, dtype=np.float32) for c in self._channels()]
        return [*parameters, *eyes]

    def masks(self, parameters: list[np.ndarray], full: bool) -> list[np.ndarray]:
        """Which elements move: all of each matrix, or its diagonal."""
        ones = [np.ones_like(p) for p in parameters]
        return [*ones, *[_moving(c, full) for c in self._channels()]]

    def materialise(self, theta: list[Any], temperature: Any) -> list[Any]:
        del temperature
        count = len(self.network.parameters)
        out = list(theta[:count])
        for layer, matrix in zip(self.layers, theta[count:], strict=True):
            one = self.network.linears[layer]
            out[one.filter] = apply_rows(matrix, out[one.filter], one)
        return out

    def _channels(self) -> list[int]:
        return [self.network.linears[layer].channels for layer in self.layers]


@dataclasses.dataclass(frozen=True)
class SignSpace:
    """A sign learned for every element of a filter, under a mixing of its rows.

    ``w = matrix (size * tanh(theta / temperature))``; ``size`` is |public| at first,
    and may cross zero once it is free to move.

    Source: Zhou, Lan, Liu and Yosinski, "Deconstructing Lottery Tickets", NeurIPS 2019,
    section 5 (trained masks and signs over frozen weights); the smooth sign instead of
    sampling is ours.

    Args:
        layers: positions in ``network.linears`` whose signs are learned.
        mixed: those of them that get a matrix as well.
        mixes: whether it is a whole matrix; its diagonal alone is a vector, and costs
            nothing to multiply by.
    """

    network: Network = dataclasses.field(compare=False)
    layers: tuple[int, ...]
    mixed: tuple[int, ...]
    mixes: bool

    def start(
        self,
        parameters: list[np.ndarray],
        rng: np.random.Generator,
        sizes: list[float],
    ) -> list[np.ndarray]:
        """Signs as they are, as far from the boundary as a layer's size says."""
        whole = np.eye if self.mixes else np.ones
        eyes = [whole(c).astype(np.float32) for c in self._channels()]
        out, signs = list(parameters), []
        for layer, size in zip(self.layers, sizes, strict=True):
            i = self.network.linears[layer].filter
            w, out[i] = parameters[i], np.abs(parameters[i])
            noise = 1 + 0.1 * rng.standard_normal(w.shape)
            signs.append((size * noise * np.where(w < 0, -1, 1)).astype(np.float32))
        return [*out, *eyes, *signs]

    def masks(self, parameters: list[np.ndarray], full: bool) -> list[np.ndarray]:
        """Which elements move: all of each matrix, or its diagonal; every sign."""
        ones = [np.ones_like(p) for p in parameters]
        matrices = [_moving(c, full, self.mixes) for c in self._channels()]
        filters = [self.network.linears[layer].filter for layer in self.layers]
        return [*ones, *matrices, *[np.ones_like(parameters[i]) for i in filters]]

    def materialise(self, theta: list[Any], temperature: Any) -> list[Any]:
        count, mixed = len(self.network.parameters), len(self.mixed)
        out = list(theta[:count])
        for layer, sign in zip(self.layers, theta[count + mixed :], strict=True):
            i = self.network.linears[layer].filter
            out[i] = out[i] * tf.tanh(sign / temperature)
        for layer, matrix in zip(self.mixed, theta[count : count + mixed], strict=True):
            one = self.network.linears[layer]
            out[one.filter] = apply_rows(matrix, out[one.filter], one)
        return out

    def _channels(self) -> list[int]:
        return [self.network.linears[layer].channels for layer in self.mixed]


@dataclasses.dataclass(frozen=True)
class OrderSpace:
    """A soft permutation and soft signs per layer, harder as the temperature falls.

    Source: Mena et al., "Learning Latent Permutations with Gumbel-Sinkhorn Networks",
    ICLR 2018, section 3 (without the Gumbel noise).
    """

    network: Network = dataclasses.field(compare=False)
    layers: tuple[int, ...]

    def start(
        self, parameters: list[np.ndarray], rng: np.random.Generator
    ) -> list[np.ndarray]:
        channels = [self.network.linears[layer].channels for layer in self.layers]
        noise = [0.01 * rng.standard_normal((c, c)) for c in channels]
        signs = [0.01 * rng.standard_normal(c) for c in channels]
        return [*parameters, *[a.astype(np.float32) for a in noise + signs]]

    def materialise(self, theta: list[Any], temperature: Any) -> list[Any]:
        count, layers = len(self.network.parameters), len(self.layers)
        out = list(theta[:count])
        orders, signs = theta[count : count + layers], theta[count + layers :]
        for layer, order, sign in zip(self.layers, orders, signs, strict=True):
            one = self.network.linears[layer]
            soft = self._sinkhorn(order / temperature)
            soft *= tf.tanh(sign / temperature)[:, None]
            out[one.filter] = apply_rows(soft, out[one.filter], one)
        return out

    def _sinkhorn(self, log: Any) -> Any:
        def step(i: Any, log: Any) -> Any:
            log -= tf.reduce_logsumexp(log, 1, keepdims=True)
            return i + 1, log - tf.reduce_logsumexp(log, 0, keepdims=True)

        # A loop, not an unrolled graph: that took 40 s to compile.
        _, log = tf.while_loop(
            lambda i, _: i < _SINKHORN_ROUNDS,
            step,
            (0, log),
            maximum_iterations=_SINKHORN_ROUNDS,
        )
        return tf.exp(log)


def _moving(channels: int, full: bool, is_matrix: bool = True) -> np.ndarray:
    """Which elements of a layer's matrix move; of a diagonal alone, all."""
    if is_matrix and not full:
        return np.eye(channels, dtype=np.float32)
    return np.ones([channels] * (1 + is_matrix), np.float32)


def apply_rows(matrix: Any, w: Any, one: Linear) -> Any:
    """Combine a filter's rows (channels): ``w'_c = sum_k matrix[c, k] w_k``.

    A diagonal matrix may be given as a vector [channels].
    """
    if len(matrix.shape) == 1:
        return scale_rows(w, matrix, one.channel_axis)
    if one.channel_axis == 0:
        flat = tf.linalg.matmul(matrix, tf.reshape(w, [one.channels, -1]))
        return tf.reshape(flat, w.shape)
    if one.channel_axis == len(w.shape) - 2:
        return tf.linalg.matmul(matrix, w)
    flat = tf.reshape(w, [-1, one.channels])
    return tf.reshape(tf.linalg.matmul(flat, matrix, transpose_b=True), w.shape)
