"""Flatbuffers made by hand: what other tools write and the stock converter does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

INT4 = schema.TensorType.INT4
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


def make_dense_chain(add_weights: Callable[[Crafted, int, int], int]) -> bytes:
    """Three dense layers, 64 inputs wide, over weights of any kind."""
    crafted = Crafted()
    x = source = crafted.add_tensor([1, 64])
    for units in (64, 64, 4):
        weights = add_weights(crafted, units, 64)
        x = crafted.add_dense(x, weights, units)
    return crafted.finish([source], [x])


def unpack(model: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromPackedBuf(bytearray(model), 0)


def pack(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
