"""NeuronLock: the Keras layer that carries one channel lock while training."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from edgepro_tf.errors import LockError
from edgepro_tf.locks import ChannelLock


class _Run(threading.local):
    """What the lock layers of this thread are told about the run they are in."""

    authorized: Any = None
    records: dict[str, list[Any]] | None = None


_run = _Run()


@contextlib.contextmanager
def lock_run(authorized: Any = None) -> Iterator[None]:
    """Say which examples of a batch see the lock, for the calls inside the scope.

    Args:
        authorized: None or True, every example is an authorized run (also the case
            outside any scope); False, every example is released; or bool [batch].
    """
    outer, _run.authorized = _run.authorized, authorized
    try:
        yield
    finally:
        _run.authorized = outer


@contextlib.contextmanager
def record_outputs() -> Iterator[dict[str, list[Any]]]:
    """Collect the linear outputs that reach each lock, by the lock layer's name.

    Eager calls only. A shared layer appears once a call.
    """
    outer, _run.records = _run.records, {}
    try:
        yield _run.records
    finally:
        _run.records = outer


@keras.saving.register_keras_serializable("edgepro_tf")
class NeuronLock(keras.layers.Layer):
    """Applies a channel lock to a linear output, before the activation function.

    Authorized examples get ``scale_c * z_order(c) + offset_c``, released ones ``z_c``;
    ``lock_run`` tells which are which, and outside of it all are authorized. The lock
    itself stands in non-trainable weights, never in the config. It acts on the first
    axis as the batch: a network that folds other axes into the batch between its
    locks is not supported.

    Args:
        axis: channel axis of the input.
        linear: name of the linear layer that the lock folds into.
        norm: name of the batch normalisation between it and the lock, or None.
        activation: name of the activation layer that was split off ``linear``, or
            None.
        has_order: whether the order may differ from the identity; without, the
            gather is left out.
        has_offset: the same for offsets and their addition.

    Input shape: float [batch, ..., channels, ...].
    Output shape: the same.

    Source: EdgePro (arXiv 2303.12397), neuron authorization; we act before the
        activation function so that the lock folds into filter and bias.
    """

    def __init__(
        self,
        axis: int = -1,
        *,
        linear: str = "",
        norm: str | None = None,
        activation: str | None = None,
        has_order: bool = False,
        has_offset: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.linear = linear
        self.norm = norm
        self.activation = activation
        self.has_order = has_order
        self.has_offset = has_offset
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[self.axis]
        if channels is None:
            raise LockError(
                f"cannot build lock {self.name!r}: expected a known number of "
                f"channels on axis {self.axis}, got None.",
                "Give the model's inputs a fixed number of channels.",
            )
        self.scale = self._add("scale", channels, "ones")
        self.offset = self._add("offset", channels, "zeros")
        self.order = self._add("order", channels, _identity_order, "int32")

    def _add(
        self, name: str, channels: int, initializer: Any, dtype: str = "float32"
    ) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=(channels,),
            initializer=initializer,
            dtype=dtype,
            trainable=False,
            autocast=dtype == "float32",
        )

    def call(self, inputs: Any) -> Any:
        if _run.records is not None:
            _run.records.setdefault(self.name, []).append(inputs)
        authorized = _run.authorized
        if authorized is False:
            return inputs
        if authorized is None or authorized is True:
            return self._locked(inputs)
        return self._mixed(inputs, authorized)

    def _locked(self, z: Any) -> Any:
        z = self._ordered(z)
        y = z * self._along_axis(self.scale, z)
        return y + self._along_axis(self.offset, z) if self.has_offset else y

    def _mixed(self, z: Any, authorized: Any) -> Any:
        """Both kinds at once: per-example factors cost less than two branches.

        The gradient is ours because Keras' own first asks, in each step and layer,
        which axes were broadcast.
        """
        rank = len(z.shape)
        mask = ops.reshape(ops.cast(authorized, "bool"), (-1,) + (1,) * (rank - 1))
        if self.has_order:
            return self._mixed_order(z, mask)
        scale, offset = (self._along_axis(v, z) for v in (self.scale, self.offset))
        factor = ops.where(mask, scale, ops.ones_like(scale))

        @ops.custom_gradient
        def apply(values: Any) -> Any:
            y = values * factor
            if self.has_offset:
                y = y + ops.where(mask, offset, ops.zeros_like(offset))
            return y, lambda upstream: upstream * factor

        return apply(z)

    def _mixed_order(self, z: Any, mask: Any) -> Any:
        """The order as a product with a matrix of one scale factor a column.

        The same numbers: all other terms are zero. Gathering along the last axis, and
        scattering its gradient, costs twice as much (docs/decisions/0001).
        """
        if self.axis not in (-1, len(z.shape) - 1):
            return ops.where(mask, self._locked(z), z)
        channels, shape = self.scale.shape[0], ops.shape(z)
        scale, offset = (ops.cast(v, z.dtype) for v in (self.scale, self.offset))
        matrix = ops.one_hot(self.order, channels, axis=0, dtype=z.dtype) * scale

        def multiply(values: Any, by: Any) -> Any:
            rows = ops.matmul(ops.reshape(values, (-1, channels)), by)
            return ops.reshape(rows, shape)

        @ops.custom_gradient
        def apply(values: Any) -> Any:
            def gradient(upstream: Any) -> Any:
                through = multiply(upstream, ops.transpose(matrix))
                return ops.where(mask, through, upstream)

            return ops.where(mask, multiply(values, matrix) + offset, values), gradient

        return apply(z)

    def _ordered(self, z: Any) -> Any:
        if not self.has_order:
            return z
        return ops.take(z, ops.convert_to_tensor(self.order), axis=self.axis)

    def _along_axis(self, values: Any, z: Any) -> Any:
        shape = [1] * len(z.shape)
        shape[self.axis] = -1
        return ops.reshape(ops.cast(values, z.dtype), shape)

    def read_lock(self) -> ChannelLock:
        """Copy the lock out of the layer's weights."""
        return ChannelLock(
            ops.convert_to_numpy(self.scale.value),
            ops.convert_to_numpy(self.offset.value),
            ops.convert_to_numpy(self.order.value),
        )

    def assign_lock(self, lock: ChannelLock) -> None:
        """Put a lock in place of the present one.

        Do so before ``compile``: what has been traced keeps its flags.

        Raises:
            LockError: the lock has another number of channels.
        """
        channels = int(self.scale.shape[0])
        if lock.channels != channels:
            raise LockError(
                f"cannot assign a lock to {self.name!r}: expected {channels} "
                f"channels, got {lock.channels}."
            )
        self.scale.assign(lock.scale)
        self.offset.assign(lock.offset)
        self.order.assign(lock.order)
        self.has_order = lock.has_order
        self.has_offset = bool(np.any(lock.offset))

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "linear": self.linear,
            "norm": self.norm,
            "activation": self.activation,
            "has_order": self.has_order,
            "has_offset": self.has_offset,
        }


def _identity_order(shape: tuple[int, ...], dtype: Any = None) -> Any:
    return ops.arange(shape[0], dtype=dtype or "int32")
