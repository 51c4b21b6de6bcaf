"""A TfLiteContext made by hand: layouts that no runtime at hand has.

Not a mock of the interpreter (the real ones are tested in test_delegate.py), but the
memory of a past or future one, right or wrong.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

MMAP_RO = 1
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_STATUS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_NODE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p
)
# Variadic in C; on Linux the first arguments travel like those of any function.
_REPORT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)
_TENSOR = (
    ("type", ctypes.c_int),
    ("data", ctypes.c_void_p),
    ("dims", ctypes.c_void_p),
    ("scale", ctypes.c_float),
    ("zero_point", ctypes.c_int32),
    ("allocation_type", ctypes.c_int),
    ("bytes", ctypes.c_size_t),
    ("allocation", ctypes.c_void_p),
    ("name", ctypes.c_void_p),
    ("delegate", ctypes.c_void_p),
    ("buffer_handle", ctypes.c_int),
    ("flags", ctypes.c_bool * 2),
    ("quantization_type", ctypes.c_int),
    ("quantization", ctypes.c_void_p),
    ("sparsity", ctypes.c_void_p),
    ("dims_signature", ctypes.c_void_p),
)
_CONTEXT = (
    ("tensors_size", ctypes.c_size_t),
    ("get_execution_plan", _STATUS),
    ("tensors", ctypes.c_void_p),
    ("impl", ctypes.c_void_p),
    ("resize_tensor", ctypes.c_void_p),
    ("report_error", _REPORT),
    ("add_tensors", ctypes.c_void_p),
    ("get_node", _NODE),
    ("later", ctypes.c_void_p * 20),
)


def struct_of(
    fields: Sequence[tuple[str, Any]], before: str = "", extra: int = 0
) -> Any:
    """The struct, with ``extra`` bytes put in before a field (or at its end)."""
    padding = [("padding", ctypes.c_uint8 * extra)] if extra else []
    names = [name for name, _ in fields]
    at = names.index(before) if before else len(names)
    all_fields = [*fields[:at], *padding, *fields[at:]]
    return type("Struct", (ctypes.Structure,), {"_fields_": all_fields})


class FakeContext:
    """A subgraph with constants and no nodes.

    Args:
        constants: data, and the scales or None.
        tensor_struct, context_struct: from ``struct_of``.
        pointed_scales: TfLiteFloatArray as {float* data; int size; bool owning}.
        zero_points: how many; None for one a scale. LiteRT 2.1 keeps one, where all are
            alike.
    """

    def __init__(
        self,
        constants: list[tuple[np.ndarray, np.ndarray | None]],
        *,
        tensor_struct: Any = None,
        context_struct: Any = None,
        pointed_scales: bool = False,
        zero_points: int | None = None,
    ) -> None:
        self.reports: list[str] = []
        self._plan = (ctypes.c_int * 1)(0)
        self._keep: list[Any] = [constants]
        tensor_type = tensor_struct or struct_of(_TENSOR)
        self.tensors = (tensor_type * (len(constants) + 2))()
        for tensor, (data, scales) in zip(self.tensors, constants, strict=False):
            tensor.type = 1
            tensor.data = data.ctypes.data
            tensor.allocation_type = MMAP_RO
            tensor.bytes = data.nbytes
            tensor.allocation = ctypes.addressof(self._plan)
            if scales is not None:
                tensor.quantization_type = 1
                tensor.quantization = self._quantization(
                    scales, pointed_scales, zero_points
                )
                dims = np.array([2, scales.size, data.size // scales.size], np.int32)
                tensor.dims = dims.ctypes.data
                self._keep.append(dims)
        self.context = (context_struct or struct_of(_CONTEXT))()
        self.context.tensors_size = len(constants)
        self.context.get_execution_plan = _STATUS(self._get_execution_plan)
        self.context.tensors = ctypes.addressof(self.tensors)
        self.context.impl = ctypes.addressof(self._plan)
        self.context.report_error = _REPORT(self._report)
        # What stands beside it, and must not be called in its place.
        self._neighbour = _REPORT(lambda *_: self.reports.append("not to be called"))
        for name in ("resize_tensor", "add_tensors"):
            neighbour = ctypes.cast(self._neighbour, ctypes.c_void_p)
            setattr(self.context, name, neighbour)
        self.context.get_node = _NODE(lambda *_: 1)

    def prepare(self, delegate: int) -> int:
        """Call the delegate's Prepare; its status."""
        words = ctypes.cast(delegate, ctypes.POINTER(ctypes.c_void_p))
        return _STATUS(words[1])(ctypes.addressof(self.context), delegate)

    def data(self, index: int, like: np.ndarray) -> np.ndarray:
        """What the tensor's data pointer shows now."""
        raw = ctypes.string_at(self.tensors[index].data, like.nbytes)
        return np.frombuffer(raw, like.dtype)

    def _quantization(
        self, scales: np.ndarray, pointed: bool, zero_count: int | None
    ) -> int:
        size = int(scales.size)
        array = np.zeros(16 + 4 * size, np.uint8)
        if pointed:
            self._keep.append(scales)
            array[:_POINTER].view(np.uintp)[0] = scales.ctypes.data
            array[_POINTER : _POINTER + 4].view(np.int32)[0] = size
            array[_POINTER + 4] = 1
        else:
            array[:4].view(np.int32)[0] = size
            array[4 : 4 + 4 * size].view(np.float32)[:] = scales
        zero_count = size if zero_count is None else zero_count
        zero_points = np.array([zero_count, *[0] * zero_count], np.int32)
        addresses = [array.ctypes.data, zero_points.ctypes.data, 0]
        params = np.array(addresses, np.uintp)
        self._keep += [array, zero_points, params]
        self.scales = scales if pointed else array[4 : 4 + 4 * size].view(np.float32)
        return int(params.ctypes.data)

    def _get_execution_plan(self, _: int, plan: int) -> int:
        ctypes.cast(plan, ctypes.POINTER(ctypes.c_void_p))[0] = ctypes.addressof(
            self._plan
        )
        return 0

    def _report(self, _: int, template: bytes, text: bytes) -> None:
        self.reports.append((template.replace(b"%s", text)).decode())


def wrong_layouts() -> dict[str, dict[str, Any]]:
    """Arguments for ``FakeContext``, by what is wrong."""
    return {
        "tensor 8 bytes longer": {"tensor_struct": struct_of(_TENSOR, extra=8)},
        "tensor 8 bytes shorter": {"tensor_struct": struct_of(_TENSOR[:-1])},
        "field before bytes": {"tensor_struct": struct_of(_TENSOR, "bytes", 8)},
        "field before data": {"tensor_struct": struct_of(_TENSOR, "data", 12)},
        "field before allocation_type": {
            "tensor_struct": struct_of(_TENSOR, "allocation_type", 8)
        },
        "pointer before tensors": {
            "context_struct": struct_of(_CONTEXT, "tensors", _POINTER)
        },
        "pointer before impl": {
            "context_struct": struct_of(_CONTEXT, "impl", _POINTER)
        },
    }
