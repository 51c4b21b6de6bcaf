"""Writes the skeleton of a ``.tflite``: constants and their scales, no operators.

Enough for the walker of the native core, whatever the element type. Parents stand
before their children, as flatbuffer offsets only point forward.
"""

from __future__ import annotations

import dataclasses
import struct

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class TinyTensor:
    """A constant: the buffer it uses, and the scales of its quantisation."""

    buffer: int
    scales: np.ndarray | None = None


def write_file(
    buffers: list[bytes], subgraphs: list[list[TinyTensor]], *, alignment: int = 16
) -> bytearray:
    """A flatbuffer of these buffers (buffer 0 is empty, as in TFLite)."""
    out = _Writer(alignment)
    root = out.table({2: None, 4: None})
    out.point(0, root.position)
    out.vector_of_tables(root, 2, [_write_subgraph] * len(subgraphs), subgraphs)
    out.vector_of_tables(root, 4, [_write_buffer] * len(buffers), buffers)
    return out.data


def write_external_file(constant: bytes) -> bytearray:
    """One constant that stands behind the flatbuffer, as beyond 2 GB."""
    out = _Writer(16)
    root = out.table({2: None, 4: None})
    out.point(0, root.position)
    out.vector_of_tables(root, 2, [_write_subgraph], [[TinyTensor(1)]])
    out.vector_of_tables(root, 4, [_write_buffer, _write_external], [b"", None])
    start = -(-len(out.data) // 16) * 16
    out.data += bytes(start - len(out.data)) + constant
    position = out.external.fields
    struct.pack_into("<QQ", out.data, position[1], start, len(constant))
    return out.data


@dataclasses.dataclass(frozen=True)
class _Table:
    position: int
    fields: dict[int, int]


class _Writer:
    def __init__(self, alignment: int) -> None:
        self.data = bytearray(b"\0\0\0\0TFL3")
        self.alignment = alignment
        self.external = _Table(0, {})

    def pad(self, to: int, then: int = 0) -> None:
        while (len(self.data) + then) % to:
            self.data.append(0)

    def point(self, at: int, to: int) -> None:
        struct.pack_into("<I", self.data, at, to - at)

    def table(self, fields: dict[int, int | None]) -> _Table:
        """Fields of 8 bytes each; None for an offset that is set later."""
        slots = max(fields) + 1
        self.pad(8, 4 + 2 * slots)
        vtable = len(self.data)
        self.data += struct.pack("<HH", 4 + 2 * slots, 4 + 8 * len(fields))
        self.data += bytes(2 * slots)
        self.pad(8, 4)
        position = len(self.data)
        self.data += struct.pack("<i", position - vtable)
        places = {}
        for number, value in fields.items():
            places[number] = len(self.data)
            offset = len(self.data) - position
            struct.pack_into("<H", self.data, vtable + 4 + 2 * number, offset)
            self.data += struct.pack("<Q", value or 0)
        return _Table(position, places)

    def vector(self, parent: _Table, field: int, data: bytes, count: int) -> None:
        self.pad(self.alignment, 4)
        self.point(parent.fields[field], len(self.data))
        self.data += struct.pack("<I", count) + data

    def vector_of_tables(self, parent, field, writers, values) -> None:
        self.pad(4)
        start = len(self.data) + 4
        self.point(parent.fields[field], len(self.data))
        self.data += struct.pack("<I", len(values)) + bytes(4 * len(values))
        for i, (write, value) in enumerate(zip(writers, values, strict=True)):
            table = write(self, value)
            self.point(start + 4 * i, table.position)


def _write_subgraph(out: _Writer, tensors: list[TinyTensor]) -> _Table:
    table = out.table({0: None})
    out.vector_of_tables(table, 0, [_write_tensor] * len(tensors), tensors)
    return table


def _write_tensor(out: _Writer, tensor: TinyTensor) -> _Table:
    if tensor.scales is None:
        return out.table({2: tensor.buffer})
    table = out.table({2: tensor.buffer, 4: None})
    quantization = out.table({2: None})
    out.point(table.fields[4], quantization.position)
    scales = np.asarray(tensor.scales, "<f4")
    out.vector(quantization, 2, scales.tobytes(), scales.size)
    return table


def _write_buffer(out: _Writer, data: bytes) -> _Table:
    if not data:
        return out.table({5: None})  # no field that the walker knows
    table = out.table({0: None})
    out.vector(table, 0, data, len(data))
    return table


def _write_external(out: _Writer, _: None) -> _Table:
    out.external = out.table({1: None, 2: None})
    return out.external
