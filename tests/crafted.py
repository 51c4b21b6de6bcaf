"""Flatbuffers made by hand: what other tools write and the stock converter does not."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

INT4 = schema.TensorType.INT4
# Integers that a CAST makes weights of: type in the file, and NumPy's.
CODES = {
    "int8": (schema.TensorType.INT8, np.int8),
    "uint8": (schema.TensorType.UINT8, np.uint8),
    "int16": (schema.TensorType.INT16, np.int16),
    "int32": (schema.TensorType.INT32, np.int32),
    "bool": (schema.TensorType.BOOL, np.uint8),
}
# Likewise; audits do not read these.
UNSIGNED = {
    "uint16": (schema.TensorType.UINT16, np.uint16),
    "uint32": (schema.TensorType.UINT32, np.uint32),
}
_TYPES = {
    np.dtype("float32"): schema.TensorType.FLOAT32,
    np.dtype("float16"): schema.TensorType.FLOAT16,
    np.dtype("int32"): schema.TensorType.INT32,
    np.dtype("uint8"): schema.TensorType.UINT8,
    np.dtype("int8"): schema.TensorType.INT8,
}


class Crafted:
    """A model of one or more subgraphs, built tensor by tensor."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.subgraphs = [], []
        self.model.buffers = [schema.BufferT()]
        self.rng = np.random.default_rng(0)
        self.add_subgraph()

    def add_subgraph(self) -> None:
        graph = schema.SubGraphT()
        graph.tensors, graph.inputs, graph.outputs = [], [], []
        graph.operators, graph.name = [], f"subgraph_{len(self.model.subgraphs)}"
        self.model.subgraphs.append(graph)

    def add_tensor(
        self,
        shape: Sequence[int],
        data: np.ndarray | None = None,
        *,
        type_: int | None = None,
        buffer: int | None = None,
        scales: Any = None,
        zero_point: int = 0,
    ) -> int:
        """A tensor of the last subgraph; its number."""
        tensor, graph = schema.TensorT(), self.model.subgraphs[-1]
        tensor.shape, tensor.name = list(shape), f"t{len(graph.tensors)}"
        tensor.type, tensor.buffer = type_ or 0, buffer or 0
        if data is not None:
            self.model.buffers.append(schema.BufferT())
            self.model.buffers[-1].data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers) - 1
            tensor.type = _TYPES[data.dtype] if type_ is None else type_
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.ravel(scales).astype(np.float32)
            tensor.quantization.zeroPoint = np.full(np.size(scales), zero_point)
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def add_operator(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        version: int = 1,
        custom: str | None = None,
        custom_options: bytes = b"",
        **options: Any,
    ) -> schema.OperatorT:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version, code.customCode = version, custom
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes)
        self.model.operatorCodes.append(code)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        operator.customOptions = list(custom_options) or None
        name = "".join(word.title() for word in kind.split("_")) + "Options"
        if hasattr(schema, f"{name}T"):
            operator.builtinOptions = getattr(schema, f"{name}T")()
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            for key, value in options.items():
                setattr(operator.builtinOptions, key, value)
        self.model.subgraphs[-1].operators.append(operator)
        return operator

    def add_dense(
        self, source: int, weights: int, units: int, bias: int = -1, **output: Any
    ) -> int:
        """A FULLY_CONNECTED over a tensor [1, n]; its output's number."""
        out = self.add_tensor([1, units], **output)
        self.add_operator("FULLY_CONNECTED", [source, weights, bias], [out], version=9)
        return out

    def add_weights(self, units: int, inputs: int) -> int:
        return self.add_tensor([units, inputs], self.draw(units, inputs))

    def draw(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape).astype(np.float32)

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file; inputs and outputs are those of the first subgraph."""
        self.model.subgraphs[0].inputs = list(inputs)
        self.model.subgraphs[0].outputs = list(outputs)
        return pack(self.model)

    def finish_dense(self, weights: int, units: int, inputs: int) -> bytes:
        """The file whose one input goes through a dense layer over these weights."""
        source = self.add_tensor([1, inputs])
        return self.finish([source], [self.add_dense(source, weights, units)])


def make_dense_chain(add_weights: Callable[[Crafted, int, int], int]) -> bytes:
    """Three dense layers, 64 inputs wide, over weights of any kind."""
    crafted = Crafted()
    x = source = crafted.add_tensor([1, 64])
    for units in (64, 64, 4):
        weights = add_weights(crafted, units, 64)
        x = crafted.add_dense(x, weights, units)
    return crafted.finish([source], [x])


def add_int4(crafted: Crafted, units: int, inputs: int) -> int:
    packed = crafted.rng.integers(0, 256, units * inputs // 2).astype(np.uint8)
    scales = crafted.rng.uniform(0.1, 0.2, units)
    return crafted.add_tensor([units, inputs], packed, type_=INT4, scales=scales)


def add_blockwise(crafted: Crafted, units: int, inputs: int) -> int:
    """4 bits with a scale for every 32 elements, as ai-edge-quantizer writes them."""
    scales = crafted.rng.uniform(0.1, 0.2, (units, inputs // 32)).astype(np.float16)
    details = schema.BlockwiseQuantizationT()
    details.scales = crafted.add_tensor(scales.shape, scales)
    details.zeroPoints, details.blockSize = -1, 32
    packed = crafted.rng.integers(0, 256, units * inputs // 2).astype(np.uint8)
    tensor = crafted.add_tensor([units, inputs], packed, type_=INT4)
    quantization = schema.QuantizationParametersT()
    quantization.detailsType = schema.QuantizationDetails.BlockwiseQuantization
    quantization.details = details
    crafted.model.subgraphs[-1].tensors[tensor].quantization = quantization
    return tensor


def make_first_generation() -> bytes:
    """Asymmetric uint8 with one scale a tensor, as TensorFlow 1 wrote it."""
    crafted = Crafted()
    activation = {"type_": schema.TensorType.UINT8, "scales": 0.05, "zero_point": 128}
    x = source = crafted.add_tensor([1, 16], **activation)
    for units in (16, 16, 4):
        levels = crafted.rng.integers(0, 256, (units, 16)).astype(np.uint8)
        weights = crafted.add_tensor([units, 16], levels, scales=0.01, zero_point=120)
        values = crafted.rng.integers(-900, 900, units).astype(np.int32)
        bias = crafted.add_tensor([units], values, scales=0.05 * 0.01)
        x = crafted.add_dense(x, weights, units, bias, **activation)
    return crafted.finish([source], [x])


def move_constants_behind(content: bytes) -> bytes:
    """The same model with its larger constants behind the flatbuffer."""
    model = unpack(content)
    moved = {
        index: bytes(bytearray(buffer.data))
        for index, buffer in enumerate(model.buffers)
        if buffer.data is not None and len(buffer.data) >= 64
    }
    for index in moved:
        buffer = model.buffers[index]
        buffer.data, buffer.offset, buffer.size = None, 2, 3
    file = bytearray(pack(model))
    for index, data in moved.items():
        file.extend(bytes(-len(file) % 16))
        table = schema.Model.GetRootAs(file, 0).Buffers(index)._tab
        struct.pack_into("<Q", file, table.Pos + table.Offset(6), len(file))
        struct.pack_into("<Q", file, table.Pos + table.Offset(8), len(data))
        file.extend(data)
    return bytes(file)


def unpack(model: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromPackedBuf(bytearray(model), 0)


def pack(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
