"""Random locks over tiny files, for the property tests."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import strategies as st

from edgepro_tf.locks import (
    VERSION,
    ElementType,
    KeptDraws,
    ModelLock,
    SetValues,
    Step,
    Target,
    TensorLock,
)
from edgepro_tf.payload import MAX_RECORDS, pack_lock
from tests.edgepro_tf.native.tiny_file import TinyTensor, write_file

MASKABLE = (
    ElementType.FLOAT32,
    ElementType.FLOAT16,
    ElementType.INT8,
    ElementType.UINT8,
)
SMALL_SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 20))
# Around the border of the block shuffle, with and without a tail.
SIZES = (1, 2, 63, 64, 65, 4095, 4096, 4097, 4159, 4160)


def values_of(element_type: ElementType, size: int, seed: int) -> np.ndarray:
    """Any bits, NaNs and the least integer included."""
    data = np.random.default_rng(seed).bytes(size * element_type.dtype.itemsize)
    return np.frombuffer(data, element_type.dtype).copy()


def scalable_values(element_type: ElementType, size: int, seed: int) -> np.ndarray:
    """Zeros and normal numbers that 2^±8 leaves normal: what a locker scales."""
    rng = np.random.default_rng(seed)
    magnitude = 2.0 ** rng.uniform(-5, 6, size)
    signs = rng.choice([-1.0, 0.0, 1.0], size)
    return (magnitude * signs).astype(element_type.dtype)


def drawable_steps(element_type: ElementType, target: Target) -> list[Step]:
    """All combinations the page allows, without SET."""
    allowed = []
    for bits in range(64):
        steps = Step(bits & 15) | (Step.MASK if bits & 16 else Step(0))
        steps |= Step.FRACTION if bits & 32 else Step(0)
        if steps & Step.FRACTION and not (
            steps & Step.MASK and element_type is ElementType.FLOAT32
        ):
            continue
        if steps & Step.SHUFFLE and steps & (Step.ORDER | Step.EXPONENTS):
            continue
        if steps & Step.MASK and (
            steps & ~(Step.MASK | Step.ORDER | Step.FRACTION)
            or element_type not in MASKABLE
            or target
        ):
            continue
        if steps & Step.SIGNS and (element_type is ElementType.UINT8 or target):
            continue
        if steps & Step.EXPONENTS and not element_type.is_float:
            continue
        allowed.append(steps)
    return allowed


@st.composite
def set_values(draw: st.DrawFn, element_type: ElementType, shape: tuple[int, int, int]):
    """One of the three forms of SET."""
    seed = draw(st.integers(0, 2**32 - 1))
    if draw(st.booleans()):
        return SetValues(None, values_of(element_type, int(np.prod(shape)), seed))
    channels = sorted(
        draw(
            st.sets(st.integers(0, shape[1] - 1), min_size=1, max_size=min(9, shape[1]))
        )
    )
    count = draw(st.sampled_from([1, len(channels)]))
    return SetValues(tuple(channels), values_of(element_type, count, seed))


@st.composite
def records(
    draw: st.DrawFn, tensor: int, shapes: st.SearchStrategy = SMALL_SHAPES
) -> TensorLock:
    target = draw(st.sampled_from([Target.DATA, Target.DATA, Target.SCALES]))
    element_type = ElementType.FLOAT32
    shape = draw(shapes)
    if target is Target.DATA:
        element_type = draw(st.sampled_from(list(ElementType)))
    else:
        shape = (1, shape[1], 1)
    steps = draw(st.sampled_from(drawable_steps(element_type, target)))
    stored = None
    if not steps or draw(st.booleans()):
        steps |= Step.SET
        stored = draw(set_values(element_type, shape))
    span = draw(st.integers(1, 8)) if steps & Step.EXPONENTS else 0
    most = 31 - 8 if element_type is ElementType.FLOAT16 else 255 - 16
    has_window = steps & Step.MASK and element_type.is_float
    window = draw(st.integers(1, most)) if has_window else 0
    return TensorLock(
        0, tensor, element_type, shape, steps, target, span, window, set_values=stored
    )


@st.composite
def with_kept_draws(
    draw: st.DrawFn, record: TensorLock, seeds: list[bytes]
) -> TensorLock:
    seed = draw(st.sampled_from([None, *seeds]))
    kept = seed and KeptDraws(seed, draw(st.integers(0, 2 * MAX_RECORDS - 1)))
    return dataclasses.replace(record, kept=kept)


@st.composite
def locks(draw: st.DrawFn, shapes: st.SearchStrategy = SMALL_SHAPES) -> ModelLock:
    count = draw(st.integers(1, 4))
    tensors = tuple(draw(records(i, shapes)) for i in range(count))
    version = draw(st.sampled_from([2, 3, 4]))  # 1 has no masked int8.
    if version == VERSION:
        seeds = draw(st.lists(st.binary(min_size=32, max_size=32), max_size=2))
        tensors = tuple(draw(with_kept_draws(each, seeds)) for each in tensors)
    return ModelLock(draw(st.binary(min_size=32, max_size=32)), tensors, version)


def fill_constants(lock: ModelLock, seed: int) -> list[np.ndarray]:
    """Authorized constants for every record, such that its steps are exact."""
    made = []
    for i, t in enumerate(lock.tensors):
        make = scalable_values if t.steps & Step.EXPONENTS else values_of
        values = make(t.element_type, t.size, seed + i)
        if t.steps & Step.MASK and t.element_type is ElementType.INT8:
            values = np.maximum(values, -127)
        made.append(values)
    return made


def place(
    lock: ModelLock, constants: list[np.ndarray], alignment: int = 16
) -> bytearray:
    """A file whose tensor i is the constant of record i (or has it for scales)."""
    buffers, tensors = [b""], []
    for record, constant in zip(lock.tensors, constants, strict=True):
        is_scales = record.target is Target.SCALES
        buffers.append(b"\0" if is_scales else constant.tobytes())
        tensors.append(TinyTensor(len(buffers) - 1, constant if is_scales else None))
    return write_file(buffers, [tensors], alignment=alignment)


def with_stored(lock: ModelLock, constants: list[np.ndarray]) -> list[np.ndarray]:
    """Constants in which SET channels hold the stored values: the authorized ones."""
    done = []
    for record, constant in zip(lock.tensors, constants, strict=True):
        stored, out = record.set_values, constant.reshape(record.shape).copy()
        if stored is not None and stored.channels is None:
            out = stored.values.reshape(record.shape).copy()
        elif stored is not None:
            values = np.broadcast_to(stored.values, len(stored.channels))
            for channel, value in zip(stored.channels, values, strict=True):
                out[:, channel, :] = value
        done.append(out.reshape(-1))
    return done


def payload_of(lock: ModelLock, fingerprints: list[int]) -> bytes:
    return pack_lock(lock.with_fingerprints(fingerprints))
