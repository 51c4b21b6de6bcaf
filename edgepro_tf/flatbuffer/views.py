"""What a ``.tflite`` holds, as plain data; ``flatbuffer.schema`` reads it."""

from __future__ import annotations

import dataclasses
import enum
import functools
from typing import Any

import numpy as np

from edgepro_tf.locks import ElementType


class Role(enum.Enum):
    """What a constant is to the operator that reads it."""

    FILTER = "filter"
    BIAS = "bias"


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """A constant tensor of the file.

    ``data`` and ``scales`` are (byte offset, byte count) in the file; ``scales`` is
    None without affine quantisation. ``ranges`` are likewise the least and the greatest
    value of each channel, where the file names them. ``buffer`` is the first one over
    these bytes. ``takes_any_byte``: whatever its bytes are, they are its integers;
    ``is_real``: it is of floats, raw bytes to a lock or not, or of integers that
    are computed with; ``picks_rows``: so many of its integers pick a row of a constant
    table, which they do in any order; 0 for none. Raw bytes, complex numbers and the
    elements of a sparse tensor have a shape of their own: flat. ``is_sparse``: the file
    names the places of its zeros.
    """

    subgraph: int
    tensor: int
    buffer: int
    name: str
    element_type: ElementType
    shape: tuple[int, ...]
    data: tuple[int, int]
    scales: tuple[int, int] | None
    zero_point: int = 0
    ranges: tuple[tuple[int, int], ...] = ()
    takes_any_byte: bool = False
    is_real: bool = False
    picks_rows: int = 0
    is_sparse: bool = False

    def read(self, model: bytes | bytearray) -> np.ndarray:
        """Copy of the elements, flat, in the constant's own type."""
        offset, size = self.data
        return np.frombuffer(
            model,
            self.element_type.dtype,
            size // self.element_type.dtype.itemsize,
            offset,
        ).copy()

    def read_scales(self, model: bytes | bytearray) -> np.ndarray:
        """float32 [count]: quantisation scales, [0] when there are none."""
        offset, size = self.scales or (0, 0)
        return np.frombuffer(model, np.float32, size // 4, offset).copy()


@dataclasses.dataclass(frozen=True)
class Scales:
    """Quantisation scales of a tensor; ``span`` is (byte offset, byte count)."""

    subgraph: int
    tensor: int
    span: tuple[int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Operand:
    """A constant in its role; ``channel_axis`` is the axis of output channels."""

    role: Role
    constant: Constant
    channel_axis: int

    @property
    def view(self) -> tuple[int, int, int]:
        """The constant's shape as [outer, channels, inner]."""
        shape = self.constant.shape
        outer = int(np.prod(shape[: self.channel_axis], dtype=np.int64))
        inner = int(np.prod(shape[self.channel_axis + 1 :], dtype=np.int64))
        return outer, shape[self.channel_axis], inner

    def read_values(self, model: bytes | bytearray) -> np.ndarray:
        """float64 [outer, channels, inner]: the numbers that the elements stand for."""
        values = self.constant.read(model).reshape(self.view).astype(np.float64)
        steps = self.steps(model)
        is_quantized = bool(steps.any())
        return (values - self.constant.zero_point) * steps if is_quantized else values

    def steps(self, model: bytes | bytearray) -> np.ndarray:
        """float64 [1, channels or 1, 1]: quantisation scales; 0 where there is none."""
        scales = self.constant.read_scales(model).astype(np.float64)
        count = scales.size
        if self.constant.element_type.is_float or count not in (1, self.view[1]):
            return np.zeros((1, 1, 1))
        return scales.reshape(1, -1, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class WeightedOperator:
    """An operator with constant weights, or the end of a branch that gives some.

    ``is_linear``: a convolution, dense layer, embedding or recurrent cell, as
    against an element-wise one. Only linear operators are first or head. ``inputs``
    are seen through operators that keep channels as they are; ``input_scale`` is the
    quantisation scale of the first one that has one, or 0.
    """

    subgraph: int
    index: int
    kind: str
    operands: tuple[Operand, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    is_linear: bool
    is_first: bool
    is_head: bool
    input_scale: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class ModelView:
    """What the splitter needs to know about a file.

    Args:
        operators: those with weights, in execution order.
        operator_kinds: names of all operators, by subgraph.
        structural: buffers that are also read as shapes, axes or indices. The stock
            converter stores equal bytes once: a bias of zeros may be the crops of a
            BATCH_TO_SPACE_ND, and a public model with other crops does not run.
        constant_bytes: of all constants, each once, and of buffers that nothing names.
        custom_operators: their names, by alphabet.
        repeated_scales: of tensors that an operator makes of quantised constants, whose
            scales they have.
        is_for_micro: whether it ends the process in any runtime but TFLite Micro.
    """

    operators: tuple[WeightedOperator, ...]
    operator_kinds: tuple[tuple[str, ...], ...]
    structural: frozenset[int]
    constant_bytes: int
    custom_operators: tuple[str, ...] = ()
    repeated_scales: tuple[Scales, ...] = ()
    is_for_micro: bool = False

    @functools.cached_property
    def constants(self) -> dict[tuple[int, int], Constant]:
        """Those that operators compute with, by subgraph and tensor."""
        return {
            (each.constant.subgraph, each.constant.tensor): each.constant
            for operator in self.operators
            for each in operator.operands
        }


@dataclasses.dataclass(frozen=True, eq=False)
class GraphNode:
    """One operator, with its options by the schema's own names.

    ``is_first`` and ``is_head`` are those of a ``WeightedOperator``.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]
    is_first: bool = False
    is_head: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Quantization:
    """What integers stand for: ``scale * (q - zero_point)``.

    Args:
        scales: float32 [1], or [channels] along ``axis``.
        zero_point: that of all channels.
        axis: of the channels.
    """

    scales: np.ndarray
    zero_point: int
    axis: int

    def along(self, rank: int) -> np.ndarray:
        """float32: the scales in a shape that fits a tensor of this rank."""
        shape = [1] * rank
        if self.scales.size > 1:
            shape[min(self.axis, rank - 1)] = -1  # A bias may name its filter's axis.
        return self.scales.reshape(shape)


@dataclasses.dataclass(frozen=True)
class Range:
    """The real numbers that a quantised activation can be.

    Args:
        least, greatest: of them, in the units of the network.
        is_symmetric: whether the scale stands for the larger of both alone, as 16 bits
            are quantised; the other one is then no fact about the network.
    """

    least: float
    greatest: float
    is_symmetric: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """The first subgraph, whole: what it takes to run it elsewhere.

    Args:
        nodes: operators in execution order; an absent input is -1.
        inputs, outputs: tensor numbers.
        shapes: shape of every tensor, as stored (batch size 1).
        constants: values by tensor number, in their own type; integers of fewer bits
            than a byte as int8. Bytes that stand for no numbers are left out.
        quantizations: of constants that are integers for real numbers; codes have a
            scale of 1.
        buffers: flatbuffer buffer of every tensor, the first one over its bytes.
        unread: what the other constants with weights have that is not read.
        packed: elements in a byte, of constants that have several there.
        codes: constants of integers that a CAST makes numbers of, as they are.
        ceilings: of activations whose type holds nothing below 0: the greatest.
        ranges: of quantised activations, by tensor number.
    """

    nodes: tuple[GraphNode, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    constants: dict[int, np.ndarray]
    quantizations: dict[int, Quantization]
    buffers: tuple[int, ...]
    unread: dict[int, str] = dataclasses.field(default_factory=dict)
    packed: dict[int, int] = dataclasses.field(default_factory=dict)
    ceilings: dict[int, float] = dataclasses.field(default_factory=dict)
    codes: frozenset[int] = frozenset()
    ranges: dict[int, Range] = dataclasses.field(default_factory=dict)

    def place_of(self, tensor: int) -> tuple[Any, ...]:
        """What two constants have in common if they are one.

        Equal bytes are stored once, and may stand for other numbers elsewhere.
        """
        found = self.quantizations.get(tensor)
        means = found and (found.scales.tobytes(), found.zero_point, found.axis)
        return self.buffers[tensor], self.constants[tensor].shape, means

    def real_values(self, tensor: int) -> np.ndarray | None:
        """float32: the real numbers of a constant; None if it holds none."""
        value = self.constants[tensor]
        if value.dtype.kind == "f":
            return value.astype(np.float32)
        found = self.quantizations.get(tensor)
        if found is None:
            return None
        steps = value.astype(np.float64) - found.zero_point
        real: np.ndarray = steps * found.along(value.ndim)
        return real.astype(np.float32)

    def levels_of(self, tensor: int) -> tuple[int, int]:
        """The least and the greatest q - zero_point of an integer constant's type.

        Those of a signed one are symmetric, as weights are.
        """
        packed = self.packed.get(tensor, 1)
        info, found = np.iinfo(self.constants[tensor].dtype), self.quantizations[tensor]
        most = int(info.max) >> (info.bits - info.bits // packed)
        least = -most if info.min else 0
        return least - found.zero_point, most - found.zero_point

    def scales_of(self, tensor: int) -> np.ndarray:
        """float32, fits the constant: its quantisation scales, or a single 1."""
        found, rank = self.quantizations.get(tensor), self.constants[tensor].ndim
        return np.ones([1] * rank, np.float32) if found is None else found.along(rank)
