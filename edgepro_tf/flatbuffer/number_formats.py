"""How a file stores the elements of a constant, by the schema's TensorType."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np

from edgepro_tf.flatbuffer.views import Constant, Quantization, Range
from edgepro_tf.locks import ElementType

_UINT8, BOOL, COMPLEX64, _FLOAT64, _COMPLEX128 = 3, 6, 8, 10, 11
_INT16, _INT8 = 7, 9
_UINT64, _UINT32, _UINT16, _BFLOAT16 = 12, 15, 16, 18
_UNSIGNED = (_UINT64, _UINT32, _UINT16)
_PACKED, _FLOAT8 = (17, 19, 20), (21, 22)
# TensorType of the schema -> element type of a lock. Others cannot be locked. To a lock
# uint8 is bytes without a meaning: packed integers of 2 and 4 bits, larger ones without
# a sign, bfloat16, float8, float64 and complex numbers of these, booleans. A complex64
# is two of float32.
ELEMENT_TYPES = {
    0: ElementType.FLOAT32,
    COMPLEX64: ElementType.FLOAT32,
    _COMPLEX128: ElementType.UINT8,
    1: ElementType.FLOAT16,
    2: ElementType.INT32,
    4: ElementType.INT64,
    _INT16: ElementType.INT16,
    _INT8: ElementType.INT8,
    **dict.fromkeys(
        (_UINT8, BOOL, *_PACKED, *_UNSIGNED, _BFLOAT16, _FLOAT64, *_FLOAT8),
        ElementType.UINT8,
    ),
}
# Whatever their bytes are, they are integers; a float's may be no number.
ANY_BYTE = (_UINT8, _INT8, *_PACKED, *_UNSIGNED)
# Bytes that move together where they are numbers of rows, as an integer of their size.
_WHOLE = {
    _FLOAT64: ElementType.INT64,
    _UINT64: ElementType.INT64,
    _UINT32: ElementType.INT32,
    _UINT16: ElementType.INT16,
    _BFLOAT16: ElementType.INT16,
}
FLOATS = (0, 1, _FLOAT64, _BFLOAT16)  # What a CAST makes weights of.
REALS = (*FLOATS, COMPLEX64, _COMPLEX128, *_FLOAT8)  # Weights whatever reads them.
_BITS = {17: 4, 19: 2}  # Signed, with a zero point of 0.
# QuantizationDetails of the schema of which scales and zero points are tensors.
_IN_TENSORS = {2: "BlockwiseQuantization", 3: "MultiAxisQuantization"}
_UNREAD = {
    COMPLEX64: "complex numbers",
    _COMPLEX128: "complex numbers",
    _FLOAT64: "numbers of float64",
    _BFLOAT16: "numbers of bfloat16",
    20: "4 bits and no sign",
    **dict.fromkeys(_FLOAT8, "numbers of float8"),
    **dict.fromkeys(_UNSIGNED, "more than 8 bits and no sign"),
}


def find_blocks(schema: ModuleType, tensor: Any) -> Any | None:
    """How a ``Tensor`` is quantised block by block, where the schema knows it.

    Returns:
        The schema's table, of ``Scales()`` and ``ZeroPoints()`` by tensor number; None
        for any other tensor.
    """
    quantization = tensor.Quantization()
    if quantization is None:
        return None
    kind = getattr(schema, _IN_TENSORS.get(quantization.DetailsType(), ""), None)
    if kind is None:
        return None
    blocks, table = kind(), quantization.Details()
    blocks.Init(table.Bytes, table.Pos)
    return blocks


def read_quantization(tensor: Any) -> Quantization | None:
    """What the integers of a ``TensorT`` stand for; None if only for themselves."""
    found = tensor.quantization
    if found is None or found.scale is None or not len(found.scale):
        return None
    zero_points = found.zeroPoint
    has_one = zero_points is not None and len(zero_points) > 0
    return Quantization(
        np.asarray(found.scale, np.float32),
        int(zero_points[0]) if has_one else 0,
        int(found.quantizedDimension),
    )


def find_ceiling(tensor: Any) -> float | None:
    """The greatest number that a ``TensorT`` of uint8 can be, if its least is 0.

    TensorFlow 1 often left an activation function to this range: [0, 6] is ReLU6.
    """
    found = read_quantization(tensor)
    if tensor.type != _UINT8 or found is None or found.zero_point != 0:
        return None
    return float(255 * found.scales[0])


def find_range(tensor: Any) -> Range | None:
    """What a ``TensorT`` of 8 or 16 bits with one scale can be; None for others."""
    found = read_quantization(tensor)
    dtypes: dict[int, Any] = {_UINT8: np.uint8, _INT16: np.int16, _INT8: np.int8}
    if tensor.type not in dtypes or found is None or found.scales.size != 1:
        return None
    levels, scale = np.iinfo(dtypes[tensor.type]), float(found.scales[0])
    least, greatest = (
        scale * (int(level) - found.zero_point) for level in (levels.min, levels.max)
    )
    return Range(least, greatest, tensor.type == _INT16)


def as_numbers_of_rows(constant: Constant, type_: int, width: int) -> Constant:
    """A constant that picks rows of a table, in elements that may change places.

    Args:
        constant: as found in the file.
        type_: TensorType of the schema.
        width: how many numbers pick a row; they stay together.
    """
    element_type, shape = constant.element_type, constant.shape
    if type_ in _WHOLE:
        element_type = _WHOLE[type_]
        shape = (constant.data[1] // element_type.dtype.itemsize,)
    if width > 1 and int(np.prod(shape)) % width == 0:
        shape = (int(np.prod(shape)) // width, width)
    return dataclasses.replace(
        constant, element_type=element_type, shape=shape, picks_rows=width
    )


def packed_in_byte(type_: int) -> int:
    """Elements of a type that share a byte; 1 where none do."""
    return 8 // _BITS.get(type_, 8)


def name_unread(tensor: Any) -> str:
    """What the elements of a schema's ``TensorT`` are, if not read; else nothing."""
    if tensor.sparsity is not None:
        return "zeros left out"
    quantization = tensor.quantization
    if quantization is not None and quantization.details is not None:
        return "a scale for every block"
    zero_points = None if quantization is None else quantization.zeroPoint
    if zero_points is not None and len({int(point) for point in zero_points}) > 1:
        return "a zero point for every channel"
    return _UNREAD.get(tensor.type, "")


def read_elements(
    constant: Constant, model: bytes | bytearray, type_: int, shape: tuple[int, ...]
) -> np.ndarray | None:
    """The elements in their shape; packed ones as int8.

    Args:
        constant: as found in the file.
        model: the file.
        type_: TensorType of the schema.
        shape: of the tensor; raw and packed constants have another, flat one.

    Returns:
        None where there are more elements than the shape has, or fewer.
    """
    values, count = constant.read(model), int(np.prod(shape))
    if type_ in _BITS:
        packed = packed_in_byte(type_)
        if values.size != -(-count // packed):
            return None
        values = _unpack(values, _BITS[type_])[:count]
    return values.reshape(shape) if values.size == count else None


def _unpack(packed: np.ndarray, bits: int) -> np.ndarray:
    """int8: signed integers of 2 or 4 bits, the lowest bits of a byte first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    moved = packed[:, None] << (8 - bits - shifts)  # To the top; the sign comes along.
    return (moved.astype(np.uint8).view(np.int8) >> (8 - bits)).reshape(-1)
