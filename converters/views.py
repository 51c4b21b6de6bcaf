"""What a ``.tflite`` holds, as plain data; ``converters.schema`` reads it."""

from __future__ import annotations

import dataclasses
import enum
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
    None without affine quantisation.
    """

    subgraph: int
    tensor: int
    buffer: int
    name: str
    element_type: ElementType
    shape: tuple[int, ...]
    data: tuple[int, int]
    scales: tuple[int, int] | None

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


@dataclasses.dataclass(frozen=True, eq=False)
class WeightedOperator:
    """An operator with constant weights.

    ``is_linear``: a convolution, dense layer, matrix product or recurrent cell, as
    against an element-wise one. Only linear operators are first or head.
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


@dataclasses.dataclass(frozen=True, eq=False)
class ModelView:
    """What the splitter needs to know about a file."""

    operators: tuple[WeightedOperator, ...]
    operator_kinds: tuple[tuple[str, ...], ...]
    size_bytes: int


@dataclasses.dataclass(frozen=True, eq=False)
class GraphNode:
    """One operator, with its options by the schema's own names."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """The first subgraph, whole: what it takes to run it elsewhere.

    Args:
        nodes: operators in execution order; an absent input is -1.
        inputs, outputs: tensor numbers.
        shapes: shape of every tensor, as stored (batch size 1).
        constants: values by tensor number, in their own type.
        buffers: flatbuffer buffer of every tensor.
    """

    nodes: tuple[GraphNode, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    constants: dict[int, np.ndarray]
    buffers: tuple[int, ...]
