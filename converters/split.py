"""What lock training left to take out of the authorized flatbuffer.

The authorized and the released network are converted alike, so their files have the
same operators; they are matched by operator and role, never by tensor number or name.
An authorization neuron shows as a channel whose authorized filter is all zero.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.flatbuffer.views import (
    Constant,
    ModelView,
    Operand,
    Role,
    WeightedOperator,
)
from edgepro_tf.locks import ElementType, SetValues

_LEAST_BIAS = 1e-30


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


def clear_placeholders(model: bytes) -> bytes:
    """Zeros for the bias of a layer that had none before it was locked.

    ``keep_additions`` makes it as good as zero, so that the converter keeps it. In
    a file it would tell which layers carry a lock.
    """
    content = bytearray(model)
    for operator in read_model(model).operators:
        for operand in operator.operands:
            constant = operand.constant
            is_float = constant.element_type is ElementType.FLOAT32
            if is_float and operand.role is Role.BIAS:
                values = constant.read(content)
                values[np.abs(values) < _LEAST_BIAS] = 0
                offset, size = constant.data
                content[offset : offset + size] = values.tobytes()
    return bytes(content)


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
    splitter = _Splitter(authorized, released, authorized_view.structural)
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
    def __init__(
        self, authorized: bytes, released: bytes, structural: frozenset[int]
    ) -> None:
        self._authorized = authorized
        self._released = released
        self._public = bytearray(authorized)
        self._structural = structural
        self._stored: dict[int, SetValues] = {}
        self._scales: dict[tuple[int, int], SetValues] = {}
        # Output tensor of an operator -> bool [channels]: at a locking value there.
        self._held: dict[tuple[int, int], np.ndarray] = {}

    def take_out(self, locked: WeightedOperator, free: WeightedOperator) -> None:
        held = self._held_channels(locked, free)
        if held is None or not held.any():
            return
        for output in locked.outputs:
            self._held[locked.subgraph, output] = held
        channels = tuple(int(c) for c in np.flatnonzero(held))
        for ours, theirs in zip(locked.operands, free.operands, strict=True):
            if ours.view[1] == held.size:
                scales = _public_scales(ours, free, self._released, locked.input_scale)
                self._take_channels(ours, theirs, channels, scales)

    def _held_channels(
        self, locked: WeightedOperator, free: WeightedOperator
    ) -> np.ndarray | None:
        """bool [channels]; None where no channel can be held."""
        for ours, theirs in zip(locked.operands, free.operands, strict=True):
            if locked.is_linear and ours.role is Role.FILTER:
                held = _all_zero(ours, self._authorized)
                return held & ~_all_zero(theirs, self._released)
        for source in locked.inputs:  # Element-wise: as its producer.
            before = self._held.get((locked.subgraph, source))
            counts = {operand.view[1] for operand in locked.operands}
            if before is None or len(counts) != 1:
                continue
            (count,) = counts
            if before.size % count == 0:  # A reshape may have split the channels.
                rows = before.reshape(-1, count)
                return rows[0] if np.all(rows == rows[0]) else None
        return None

    def _take_channels(
        self,
        ours: Operand,
        theirs: Operand,
        channels: tuple[int, ...],
        scales: np.ndarray | None,
    ) -> None:
        constant, index = ours.constant, list(channels)
        kept = constant.read(self._authorized).reshape(ours.view)[:, index, :]
        freed = theirs.read_values(self._released)[:, index, :]
        is_constant = np.all(kept == kept[:1, :, :1])
        is_same = np.array_equal(ours.read_values(self._authorized)[:, index], freed)
        is_done = constant.buffer in self._stored
        if is_done or is_same or not is_constant or constant.buffer in self._structural:
            return
        public = constant.read(self._public).reshape(ours.view)
        steps = ours.steps(self._authorized)
        if scales is not None:
            self._take_scales(constant, channels, scales[index])
            steps = scales[None, :, None]
        public[:, index, :] = _quantize(freed, steps, constant, index)
        self._write(constant.data, public)
        # A held channel is constant: zeros in a filter, one number in a bias.
        self._stored[constant.buffer] = _set_values(channels, kept[0, :, 0])

    def _take_scales(
        self, ours: Constant, channels: tuple[int, ...], freed: np.ndarray
    ) -> None:
        assert ours.scales is not None
        kept = ours.read_scales(self._authorized)[list(channels)]
        scales = ours.read_scales(self._public)
        scales[list(channels)] = freed
        self._write(ours.scales, scales)
        self._scales[ours.scales] = _set_values(channels, kept)

    def _write(self, span: tuple[int, int], elements: np.ndarray) -> None:
        offset, size = span
        self._public[offset : offset + size] = elements.tobytes()

    def result(self, pairs: list[tuple[WeightedOperator, WeightedOperator]]) -> Split:
        differs = any(
            self._differs(ours, theirs)
            for locked, free in pairs
            for ours, theirs in zip(locked.operands, free.operands, strict=True)
        )
        return Split(bytes(self._public), self._stored, self._scales, differs)

    def _differs(self, ours: Operand, theirs: Operand) -> bool:
        """Whether channels that are not held do, by more than the formats' rounding."""
        freed = theirs.read_values(self._released)
        difference = np.abs(ours.read_values(self._public) - freed)
        # Each was rounded by half a step, and in float32 before that.
        steps = ours.steps(self._public) + theirs.steps(self._released)
        rounding = 0.5 * steps + np.finfo(np.float32).eps * np.abs(freed)
        is_off = difference > rounding * 1.01
        stored = self._stored.get(ours.constant.buffer)
        if stored is not None and stored.channels is not None:
            is_off[:, list(stored.channels), :] = False
        return bool(is_off.any())


def _public_scales(
    ours: Operand, free: WeightedOperator, released: bytes, input_scale: float
) -> np.ndarray | None:
    """float32 [channels] for a constant with a scale for each; None for others.

    A bias has the product of its input's and its filter's scale, as the converter has
    it: another number would tell the channels that are held.
    """
    constant = ours.constant
    if constant.scales is None or constant.scales[1] // 4 != ours.view[1]:
        return None
    scales = free.operands[0].constant.read_scales(released)
    if scales.size != ours.view[1]:
        return None
    return scales if ours.role is Role.FILTER else scales * np.float32(input_scale)


def _quantize(
    values: np.ndarray, steps: np.ndarray, constant: Constant, index: list[int]
) -> np.ndarray:
    """Real numbers in a constant's own type and scale."""
    dtype = constant.element_type.dtype
    if constant.element_type.is_float:
        return values.astype(dtype)
    steps = steps[:, index, :] if steps.shape[1] > 1 else steps
    info = np.iinfo(dtype)
    levels = np.rint(values / np.where(steps, steps, 1)) + constant.zero_point
    return np.clip(levels, info.min, info.max).astype(dtype)


def _all_zero(operand: Operand, model: bytes) -> np.ndarray:
    """bool [channels]: every element of the channel is zero."""
    elements = operand.constant.read(model).reshape(operand.view)
    return ~np.any(elements != 0, axis=(0, 2))


def _set_values(channels: tuple[int, ...], values: np.ndarray) -> SetValues:
    same = np.all(values == values[0])
    return SetValues(channels, values[:1] if same else values)
