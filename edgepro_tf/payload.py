"""Lock <-> bytes the native core reads. The format is docs/payload.md."""

from __future__ import annotations

import numpy as np

from edgepro_tf.errors import PayloadError
from edgepro_tf.locks import (
    MASK_WINDOWS,
    SEED_BYTES,
    VERSION,
    ElementType,
    KeptDraws,
    ModelLock,
    SetValues,
    Step,
    Target,
    TensorLock,
)

MAGIC = b"EPL"  # And the digit of the version.
_FIRST_WITH_KEPT = 4
MAX_RECORDS = 65535
MAX_EXPONENT_RANGE = 8
_VARINT_LIMIT = 1 << 32
_SCALES_BIT = 0x10
_SCALES_TOO_BIT = 0x20
_KEPT_BIT = 0x40
_ALL_STEPS = 0x7F
_MASKED = (*MASK_WINDOWS, ElementType.INT8, ElementType.UINT8)


def pack_lock(lock: ModelLock) -> bytes:
    """Write a lock as payload bytes.

    Raises:
        PayloadError: the lock breaks a rule of docs/payload.md.
    """
    out = bytearray(MAGIC + b"%d" % lock.version)
    out += lock.seed
    earlier = _earlier_seeds(lock)
    if lock.version >= _FIRST_WITH_KEPT:
        out += _varint(len(earlier)) + b"".join(earlier)
    written = [tensor for tensor in lock.tensors if not tensor.is_implied]
    out += _varint(len(written))
    followers = [*lock.tensors[1:], None]
    for tensor, follower in zip(lock.tensors, followers, strict=True):
        if not tensor.is_implied:
            implies = follower is not None and follower.is_implied
            out += _pack_tensor(tensor, earlier, scales_too=implies)
    packed = bytes(out)
    # The reader holds all rules; what it refuses, or reads otherwise, is not written.
    if len(unpack_lock(packed).tensors) != len(lock.tensors):
        raise _bad("expected implied scales behind their own tensor's data")
    return packed


def unpack_lock(payload: bytes) -> ModelLock:
    """Read payload bytes.

    Raises:
        PayloadError: they are damaged, cut short, or of another version.
    """
    reader = _Reader(payload)
    magic, digit = reader.take(len(MAGIC)), reader.byte()
    version = digit - ord("0")
    if magic != MAGIC or not 1 <= version <= VERSION:
        raise _bad("expected it to begin with EPL1 to EPL4, got another")
    seed = reader.take(SEED_BYTES)
    earlier: list[bytes] = []
    if version >= _FIRST_WITH_KEPT:
        seeds = reader.take(reader.varint() * SEED_BYTES)
        earlier = [seeds[i : i + SEED_BYTES] for i in range(0, len(seeds), SEED_BYTES)]
    count = reader.varint()
    if not 1 <= count <= MAX_RECORDS:
        raise _bad(f"expected 1 to {MAX_RECORDS} records, got {count}")
    tensors = tuple(
        tensor
        for _ in range(count)
        for tensor in _unpack_record(reader, version, earlier)
    )
    if version == 1 and any(map(_is_masked_int8, tensors)):
        raise _bad(
            "expected no masked int8 in version 1, whose mask was uneven, got one"
        )
    if not reader.at_end:
        raise _bad("expected nothing after the last record, got more bytes")
    addresses = {(t.subgraph, t.tensor, t.target) for t in tensors}
    if len(addresses) != len(tensors):
        raise _bad("expected one record for each constant, got two for one")
    return ModelLock(seed, tensors, version)


def _earlier_seeds(lock: ModelLock) -> list[bytes]:
    return list(dict.fromkeys(one.kept.seed for one in lock.tensors if one.kept))


def _is_masked_int8(tensor: TensorLock) -> bool:
    return bool(tensor.steps & Step.MASK) and tensor.element_type is ElementType.INT8


def _pack_tensor(
    tensor: TensorLock, earlier: list[bytes], *, scales_too: bool
) -> bytes:
    kind = tensor.element_type | (_SCALES_BIT if tensor.target else 0)
    kind |= _SCALES_TOO_BIT if scales_too else 0
    kind |= _KEPT_BIT if tensor.kept else 0
    out = bytearray(_varint(tensor.subgraph) + _varint(tensor.tensor))
    out.append(kind)
    for extent in tensor.shape:
        out += _varint(extent)
    out.append(tensor.steps)
    if tensor.steps & Step.EXPONENTS:
        out.append(tensor.exponent_range)
    if tensor.steps & Step.MASK and tensor.element_type.is_float:
        out.append(tensor.window)
    out += tensor.fingerprint.to_bytes(4, "little")
    if tensor.kept:
        out += _varint(earlier.index(tensor.kept.seed)) + _varint(tensor.kept.number)
    if tensor.steps & Step.SET:
        out += _pack_set(tensor)
    return bytes(out)


def _pack_set(tensor: TensorLock) -> bytes:
    stored = tensor.set_values
    if stored is None:
        raise _bad("expected values for the SET step, got none")
    values = np.asarray(stored.values, tensor.element_type.dtype).ravel()
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    if stored.channels is None:
        return b"\x02" + data
    form = b"\x00" if values.size == 1 else b"\x01"
    out = bytearray(form + _varint(len(stored.channels)))
    previous = -1
    for channel in stored.channels:
        out += _varint(channel - previous - 1)
        previous = channel
    return bytes(out + data)


def _unpack_record(
    reader: _Reader, version: int, earlier: list[bytes]
) -> list[TensorLock]:
    """One record, and the one it implies."""
    subgraph, tensor = reader.varint(), reader.varint()
    kind = reader.byte()
    try:
        element_type = ElementType(kind & 0x0F)
    except ValueError as error:
        raise _bad(f"expected an element type, got {kind & 0x0F}") from error
    if kind >= (2 * _KEPT_BIT if version >= _FIRST_WITH_KEPT else _KEPT_BIT):
        raise _bad(f"expected a record kind of its version, got {kind:#x}")
    if kind & _SCALES_BIT and kind & _SCALES_TOO_BIT:
        raise _bad("expected scales behind constant data, got them behind scales")
    target = Target.SCALES if kind & _SCALES_BIT else Target.DATA
    shape = (reader.varint(), reader.varint(), reader.varint())
    raw_steps = reader.byte()
    steps = Step(raw_steps & _ALL_STEPS)
    has_exponents = bool(steps & Step.EXPONENTS)
    exponent_range = reader.byte() if has_exponents else 0
    has_window = bool(steps & Step.MASK) and element_type.is_float
    window = reader.byte() if has_window else 0
    fingerprint = int.from_bytes(reader.take(4), "little")
    kept = _unpack_draws(reader, earlier) if kind & _KEPT_BIT else None
    _check_rules(element_type, target, shape, raw_steps, exponent_range)
    if steps & Step.MASK:
        _check_mask(element_type, steps, window)
    stored = None
    if steps & Step.SET:
        stored = _unpack_set(reader, element_type, shape)
    records = [
        TensorLock(
            subgraph,
            tensor,
            element_type,
            shape,
            steps,
            target,
            exponent_range,
            window,
            fingerprint,
            set_values=stored,
            kept=kept,
        )
    ]
    if kind & _SCALES_TOO_BIT:
        records.append(implied_scales(records[0]))
    return records


def implied_scales(data: TensorLock) -> TensorLock:
    """The record behind a tensor's data that shuffles its scales and takes no bytes."""
    kept = data.kept
    return TensorLock(
        data.subgraph,
        data.tensor,
        ElementType.FLOAT32,
        (1, data.channels, 1),
        Step.SHUFFLE,
        Target.SCALES,
        is_implied=True,
        kept=kept and KeptDraws(kept.seed, kept.number + 1),
    )


def _unpack_draws(reader: _Reader, earlier: list[bytes]) -> KeptDraws:
    seed, number = reader.varint(), reader.varint()
    if seed >= len(earlier) or number >= 2 * MAX_RECORDS:
        raise _bad("expected draws of an earlier seed and record, got others")
    return KeptDraws(earlier[seed], number)


def _check_rules(
    element_type: ElementType,
    target: Target,
    shape: tuple[int, int, int],
    raw_steps: int,
    exponent_range: int,
) -> None:
    if not 1 <= raw_steps <= _ALL_STEPS:
        raise _bad(f"expected steps 1 to {_ALL_STEPS}, got {raw_steps}")
    steps = Step(raw_steps)
    if min(shape) < 1 or shape[0] * shape[1] * shape[2] >= _VARINT_LIMIT:
        raise _bad(f"expected a tensor of 1 to 2^32-1 elements, got {shape}")
    if target is Target.SCALES and (
        element_type is not ElementType.FLOAT32
        or shape[0] != 1
        or shape[2] != 1
        or steps & (Step.SIGNS | Step.MASK)
    ):
        raise _bad("expected unsigned float32 [1, n, 1] quantisation scales")
    if steps & Step.SIGNS and element_type is ElementType.UINT8:
        raise _bad("expected no sign step on raw bytes, got one")
    if steps & Step.EXPONENTS and not (
        element_type.is_float and 1 <= exponent_range <= MAX_EXPONENT_RANGE
    ):
        raise _bad(
            f"expected exponents of float elements within 1..{MAX_EXPONENT_RANGE}, "
            f"got {element_type.name.lower()} within {exponent_range}"
        )
    if steps & Step.FRACTION and not (
        steps & Step.MASK and element_type is ElementType.FLOAT32
    ):
        raise _bad("expected whole fractions of a float32 mask, got them elsewhere")
    if steps & Step.SHUFFLE and steps & (Step.ORDER | Step.EXPONENTS):
        raise _bad("expected a shuffle alone, got it beside order or exponents")


def _check_mask(element_type: ElementType, steps: Step, window: int) -> None:
    if element_type not in _MASKED:
        raise _bad(
            "expected a mask of float32, float16, int8 or raw bytes, got another type"
        )
    if element_type.is_float:
        top = 2 ** np.finfo(element_type.dtype).nexp - 1  # Infinities' own.
        most = top - MASK_WINDOWS[element_type]
        if not 1 <= window <= most:
            raise _bad(f"expected a mask's window from 1 to {most}, got {window}")
    if steps & (Step.SIGNS | Step.EXPONENTS | Step.SHUFFLE):
        raise _bad("expected a mask with no other step but order, got one beside it")


def _unpack_set(
    reader: _Reader, element_type: ElementType, shape: tuple[int, int, int]
) -> SetValues:
    form = reader.byte()
    if form > 2:
        raise _bad(f"expected set form 0, 1 or 2, got {form}")
    if form == 2:
        size = shape[0] * shape[1] * shape[2]
        return SetValues(None, reader.elements(element_type, size))
    count = reader.varint()
    if not 1 <= count <= shape[1]:
        raise _bad(f"expected 1 to {shape[1]} set channels, got {count}")
    channels, previous = [], -1
    for _ in range(count):
        previous += reader.varint() + 1
        channels.append(previous)
    if previous >= shape[1]:
        raise _bad(f"expected set channels below {shape[1]}, got {previous}")
    values = reader.elements(element_type, count if form == 1 else 1)
    return SetValues(tuple(channels), values)


def _varint(value: int) -> bytes:
    if not 0 <= value < _VARINT_LIMIT:
        raise _bad(f"expected an integer from 0 to 2^32-1, got {value}")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bad(rule: str) -> PayloadError:
    return PayloadError(
        f"cannot read lock payload: {rule}.",
        "The sidecar was made by another version, or is not one of EdgePro's.",
    )


class _Reader:
    """Walks payload bytes and refuses to step past their end."""

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        self._position = 0

    @property
    def at_end(self) -> bool:
        return self._position == len(self._data)

    def take(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._data):
            raise _bad(f"expected at least {end:,} bytes, got {len(self._data):,}")
        piece = self._data[self._position : end]
        self._position = end
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 28:
                raise _bad("expected an integer below 2^32, got a longer one")
        if value >= _VARINT_LIMIT or (byte == 0 and shift > 7):
            raise _bad("expected the shortest form of an integer, got another")
        return value

    def elements(self, element_type: ElementType, count: int) -> np.ndarray:
        dtype = element_type.dtype
        data = self.take(count * dtype.itemsize)
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)
