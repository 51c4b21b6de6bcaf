"""What lock training left to take out of the authorized flatbuffer.

The authorized and the released network are converted alike, so their files have the
same operators; they are matched by operator and role, never by tensor number or name.
An authorization neuron shows as a channel whose authorized filter is all zero.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converters.views import Constant, ModelView, Operand, Role, WeightedOperator
from edgepro_tf.errors import ConversionError
from edgepro_tf.locks import SetValues


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The model to publish before any step is drawn, and what it lacks.

    Args:
        model: the authorized file with the released values at authorization neurons.
        stored: the authorized values there, by flatbuffer buffer.
        stored_scales: likewise for quantisation scales, by (offset, size) in the file.
        differs_elsewhere: whether the released file differs from ``model`` in any
            other constant (a lock with scale factors, offsets or an order).
    """

    model: bytes
    stored: dict[int, SetValues]
    stored_scales: dict[tuple[int, int], SetValues]
    differs_elsewhere: bool


def unsplit(model: bytes) -> Split:
    """The split of a model that was not lock-trained: nothing to take out."""
    return Split(model, {}, {}, False)


def split_models(
    authorized: bytes,
    released: bytes,
    authorized_view: ModelView,
    released_view: ModelView,
) -> Split:
    """Put the released values of authorization neurons into the authorized file.

    Args:
        authorized: flatbuffer of the authorized network.
        released: flatbuffer of the released network, converted alike.
        authorized_view: from ``read_model``.
        released_view: from ``read_model``.

    Raises:
        ConversionError: the two files do not have the same operators.
    """
    _check_same_structure(authorized_view, released_view)
    splitter = _Splitter(authorized, released)
    pairs = list(zip(authorized_view.operators, released_view.operators, strict=True))
    for locked, free in pairs:
        splitter.take_out(locked, free)
    return splitter.result(pairs)


def _check_same_structure(authorized: ModelView, released: ModelView) -> None:
    same = authorized.operator_kinds == released.operator_kinds and all(
        [o.view for o in a.operands] == [o.view for o in r.operands]
        for a, r in zip(authorized.operators, released.operators, strict=True)
    )
    if not same:
        raise ConversionError(
            "cannot split model: expected the authorized and the released network to "
            "convert to the same operators, got different ones.",
            "Train a few steps first, so that no layer's weights are all equal.",
        )


class _Splitter:
    def __init__(self, authorized: bytes, released: bytes) -> None:
        self._authorized = authorized
        self._released = released
        self._public = bytearray(authorized)
        self._stored: dict[int, SetValues] = {}
        self._scales: dict[tuple[int, int], SetValues] = {}
        # Output tensor of an operator -> channels held at a locking value there.
        self._held: dict[tuple[int, int], tuple[int, ...]] = {}

    def take_out(self, locked: WeightedOperator, free: WeightedOperator) -> None:
        channels = self._held_channels(locked, free)
        if not channels:
            return
        for output in locked.outputs:
            self._held[locked.subgraph, output] = channels
        for ours, theirs in zip(locked.operands, free.operands, strict=True):
            self._take_channels(ours, theirs, channels)

    def _held_channels(
        self, locked: WeightedOperator, free: WeightedOperator
    ) -> tuple[int, ...]:
        for ours, theirs in zip(locked.operands, free.operands, strict=True):
            if locked.is_linear and ours.role is Role.FILTER:
                held = _all_zero(ours, self._authorized)
                held &= ~_all_zero(theirs, self._released)
                return tuple(int(c) for c in np.flatnonzero(held))
        for source in locked.inputs:  # Element-wise: as its producer.
            held_before = self._held.get((locked.subgraph, source))
            if held_before and all(
                o.view[1] > held_before[-1] for o in locked.operands
            ):
                return held_before
        return ()

    def _take_channels(
        self, ours: Operand, theirs: Operand, channels: tuple[int, ...]
    ) -> None:
        constant, index = ours.constant, list(channels)
        if constant.buffer not in self._stored:
            kept = constant.read(self._authorized).reshape(ours.view)
            freed = theirs.constant.read(self._released).reshape(theirs.view)
            public = constant.read(self._public).reshape(ours.view)
            public[:, index, :] = freed[:, index, :]
            self._write(constant.data, public)
            # A held channel is constant: zeros in a filter, one number in a bias.
            self._stored[constant.buffer] = _set_values(channels, kept[0, index, 0])
        if constant.scales and constant.scales[1] // 4 == ours.view[1]:
            self._take_scales(constant, theirs.constant, channels)

    def _take_scales(
        self, ours: Constant, theirs: Constant, channels: tuple[int, ...]
    ) -> None:
        assert ours.scales is not None
        if ours.scales in self._scales:
            return
        kept = ours.read_scales(self._authorized)[list(channels)]
        scales = ours.read_scales(self._public)
        scales[list(channels)] = theirs.read_scales(self._released)[list(channels)]
        self._write(ours.scales, scales)
        self._scales[ours.scales] = _set_values(channels, kept)

    def _write(self, span: tuple[int, int], elements: np.ndarray) -> None:
        offset, size = span
        self._public[offset : offset + size] = elements.tobytes()

    def result(self, pairs: list[tuple[WeightedOperator, WeightedOperator]]) -> Split:
        public = bytes(self._public)
        differs = any(
            not np.array_equal(
                ours.constant.read(public), theirs.constant.read(self._released)
            )
            for locked, free in pairs
            for ours, theirs in zip(locked.operands, free.operands, strict=True)
        )
        return Split(public, self._stored, self._scales, differs)


def _all_zero(operand: Operand, model: bytes) -> np.ndarray:
    """bool [channels]: every element of the channel is zero."""
    elements = operand.constant.read(model).reshape(operand.view)
    return ~np.any(elements != 0, axis=(0, 2))


def _set_values(channels: tuple[int, ...], values: np.ndarray) -> SetValues:
    same = np.all(values == values[0])
    return SetValues(channels, values[:1] if same else values)
