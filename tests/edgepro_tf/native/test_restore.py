"""Restoring and applying against the reference, bit for bit, over tiny files."""

import mmap

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepro_tf import native
from edgepro_tf.errors import (
    ConversionError,
    NativeError,
    PayloadError,
    WrongModelError,
)
from edgepro_tf.locks import (
    VERSION,
    ElementType,
    ModelLock,
    SetValues,
    Step,
    Target,
    TensorLock,
)
from edgepro_tf.payload import pack_lock
from tests import reference
from tests.edgepro_tf.native.locks_of_samples import (
    MASKABLE,
    SIZES,
    fill_constants,
    locks,
    payload_of,
    place,
    values_of,
    with_stored,
)
from tests.edgepro_tf.native.tiny_file import (
    TinyTensor,
    write_external_file,
    write_file,
)

SEED = bytes(range(100, 132))
quick = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)


def prints_of(constants: list[np.ndarray], version: int = VERSION) -> list[int]:
    if version < VERSION:
        return [reference.fingerprint(each.tobytes(), version) for each in constants]
    return [native.fingerprint(constant.tobytes()) for constant in constants]


def lock_of(*tensors: TensorLock) -> ModelLock:
    return ModelLock(SEED, tensors)


def record(
    steps: Step,
    shape: tuple[int, int, int],
    element_type: ElementType = ElementType.FLOAT32,
    **options: object,
) -> TensorLock:
    return TensorLock(
        0, options.pop("tensor", 0), element_type, shape, steps, **options
    )


@quick
@given(lock=locks(), seed=st.integers(0, 2**31), threads=st.integers(1, 3))
def test_restoring_is_the_reference(lock: ModelLock, seed: int, threads: int) -> None:
    # Any bits at all: subnormal numbers, infinities and NaNs are restored too.
    public = [
        values_of(t.element_type, t.size, seed + i) for i, t in enumerate(lock.tensors)
    ]
    model = place(lock, public, alignment=4)
    payload = payload_of(lock, prints_of(public, lock.version))
    written = native.restore_buffer(model, payload, threads=threads)
    expected = [
        reference.restore(lock, i, constant) for i, constant in enumerate(public)
    ]
    assert model == place(lock, expected, alignment=4)
    assert written == lock.bytes_rewritten


@quick
@given(lock=locks(), seed=st.integers(0, 2**31))
def test_restoring_undoes_applying(lock: ModelLock, seed: int) -> None:
    constants = fill_constants(lock, seed)
    model = place(lock, constants)
    fingerprints = native.apply_lock(model, pack_lock(lock))
    native.restore_buffer(model, payload_of(lock, fingerprints))
    assert model == place(lock, with_stored(lock, constants))


@pytest.mark.parametrize(
    ("element_type", "size"),
    [(t, size) for t in ElementType for size in SIZES]
    + [(ElementType.INT8, 2 * 65536 + 5), (ElementType.FLOAT32, 65536 + 64)],
)
def test_shuffle_of_every_size(element_type: ElementType, size: int) -> None:
    steps = Step.SHUFFLE
    if element_type is not ElementType.UINT8:
        steps |= Step.SIGNS
    lock = lock_of(record(steps, (1, size, 1), element_type))
    public = values_of(element_type, size, size)
    restored = place(lock, [public])
    native.restore_buffer(restored, payload_of(lock, prints_of([public])), threads=2)
    assert restored == place(lock, [reference.restore(lock, 0, public)])
    fingerprints = native.apply_lock(restored, pack_lock(lock))
    assert restored == place(lock, [public])
    assert fingerprints == prints_of([public])


def test_an_int8_mask_adds_every_number_as_often() -> None:
    """A million draws of 255 numbers: chi-squared has 254 degrees of freedom."""
    size = 1 << 20
    authorized = np.random.default_rng(0).integers(-127, 128, size).astype(np.int8)
    lock = lock_of(record(Step.MASK, (1, 1, size), ElementType.INT8))
    model = place(lock, [authorized])
    start = bytes(model).index(authorized.tobytes())
    native.apply_lock(model, pack_lock(lock))
    public = np.frombuffer(bytes(model), np.int8, size, start).astype(int)
    counts = np.bincount((public - authorized) % 255, minlength=255)
    assert np.sum((counts - size / 255) ** 2) / (size / 255) < 254 + 6 * 22.5


@pytest.mark.parametrize(
    "shape", [(1, 64, 1024), (1, 65, 1025), (9, 1000, 8), (3, 50000, 1), (1, 1, 1024)]
)
@pytest.mark.parametrize("order", [Step(0), Step.ORDER])
@pytest.mark.parametrize(
    ("element_type", "mask"),
    [*((each, Step.MASK) for each in MASKABLE),
     (ElementType.FLOAT32, Step.MASK | Step.FRACTION)],
)  # fmt: skip
def test_mask_of_every_size(
    shape: tuple[int, int, int], order: Step, element_type: ElementType, mask: Step
) -> None:
    window = 100 if element_type is ElementType.FLOAT32 else 9
    window = 0 if element_type is ElementType.INT8 else window
    steps = mask | order
    lock = lock_of(record(steps, shape, element_type, window=window))
    (public,) = fill_constants(lock, 4)
    restored = place(lock, [public])
    native.restore_buffer(restored, payload_of(lock, prints_of([public])), threads=2)
    assert restored == place(lock, [reference.restore(lock, 0, public)])
    assert native.apply_lock(restored, pack_lock(lock)) == prints_of([public])
    assert restored == place(lock, [public])


@pytest.mark.parametrize(
    "steps", [Step.SHUFFLE, Step.SHUFFLE | Step.SIGNS, Step.ORDER | Step.SIGNS]
)
def test_large_constant_on_several_threads(steps: Step) -> None:
    # Beyond 1 MiB a constant is shared out among the threads, by chunks; from 2 MiB on
    # there are two by default (threads=0).
    lock = lock_of(
        record(steps, (3, 683, 130), ElementType.INT64),
        record(steps, (1, 9, 9), tensor=1),
    )
    public = [values_of(t.element_type, t.size, i) for i, t in enumerate(lock.tensors)]
    payload = payload_of(lock, prints_of(public))
    models = [place(lock, public) for _ in range(4)]
    for threads, model in enumerate(models):
        native.restore_buffer(model, payload, threads=threads)
    assert models[1] == place(
        lock,
        [reference.restore(lock, i, constant) for i, constant in enumerate(public)],
    )
    assert models[0] == models[1] == models[2] == models[3]


@pytest.mark.parametrize("inner", [1, 40])
@pytest.mark.parametrize("element_type", [ElementType.FLOAT32, ElementType.FLOAT16])
def test_scaling_any_number_rounds_as_ieee_754(
    element_type: ElementType, inner: int
) -> None:
    lock = lock_of(
        record(Step.EXPONENTS, (2, 400, inner), element_type, exponent_range=8)
    )
    public = values_of(element_type, 800 * inner, 5)
    public[:4] = [0, -0.0, np.finfo(element_type.dtype).smallest_subnormal, np.inf]
    model = place(lock, [public])
    native.restore_buffer(model, payload_of(lock, prints_of([public])))
    assert model == place(lock, [reference.restore(lock, 0, public)])


def test_private_mapping_is_restored_and_the_file_is_not(tmp_path) -> None:
    lock = lock_of(record(Step.SHUFFLE, (1, 5000, 1)))
    public = values_of(ElementType.FLOAT32, 5000, 1)
    path = tmp_path / "model.tflite"
    path.write_bytes(place(lock, [public]))
    before = path.read_bytes()
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    native.restore_buffer(mapping, payload_of(lock, prints_of([public])))
    assert mapping[:] == place(lock, [reference.restore(lock, 0, public)])
    mapping.close()
    assert path.read_bytes() == before


def test_constant_behind_the_flatbuffer() -> None:
    lock = lock_of(record(Step.SHUFFLE, (1, 100, 1)))
    public = values_of(ElementType.FLOAT32, 100, 1)
    model = write_external_file(public.tobytes())
    native.restore_buffer(model, payload_of(lock, prints_of([public])))
    restored = reference.restore(lock, 0, public)
    assert model == write_external_file(restored.tobytes())


def test_wrong_model_changes_nothing() -> None:
    lock = lock_of(
        record(Step.SIGNS, (1, 8, 8)), record(Step.SIGNS, (1, 4, 4), tensor=1)
    )
    public = [values_of(t.element_type, t.size, i) for i, t in enumerate(lock.tensors)]
    model = place(lock, public)
    before = bytes(model)
    first, second = prints_of(public)
    with pytest.raises(WrongModelError, match="belongs to another model file"):
        native.restore_buffer(model, payload_of(lock, [first, second ^ 1]))
    assert model == before


def test_missing_and_resized_constants_are_another_model() -> None:
    lock = lock_of(record(Step.SIGNS, (1, 8, 8)))
    public = values_of(ElementType.FLOAT32, 64, 0)
    payload = payload_of(lock, prints_of([public]))
    for model in (
        write_file([b""], [[]]),
        write_file([b""], []),
        write_file([b"", public.tobytes()], [[TinyTensor(0)]]),
        write_file([b"", public.tobytes()], [[TinyTensor(7)]]),
        write_file([b"", public[:-1].tobytes()], [[TinyTensor(1)]]),
    ):
        with pytest.raises(WrongModelError):
            native.restore_buffer(model, payload)
        with pytest.raises(WrongModelError, match="cannot lock this model"):
            native.apply_lock(model, payload)


def test_two_records_over_one_buffer_are_refused() -> None:
    lock = lock_of(
        record(Step.SIGNS, (1, 8, 8)), record(Step.SIGNS, (1, 8, 8), tensor=1)
    )
    data = values_of(ElementType.FLOAT32, 64, 0)
    model = write_file([b"", data.tobytes()], [[TinyTensor(1), TinyTensor(1)]])
    before = bytes(model)
    for call in (native.restore_buffer, native.apply_lock):
        with pytest.raises(WrongModelError, match="one constant for two"):
            call(model, payload_of(lock, prints_of([data, data])))
    assert model == before


def test_data_and_scales_of_one_tensor() -> None:
    steps = Step.ORDER | Step.SIGNS
    lock = lock_of(
        record(steps, (1, 8, 9), ElementType.INT8),
        record(Step.SHUFFLE, (1, 8, 1), target=Target.SCALES),
    )
    weights = values_of(ElementType.INT8, 72, 0)
    scales = np.linspace(0.1, 0.8, 8, dtype=np.float32)
    model = write_file([b"", weights.tobytes()], [[TinyTensor(1, scales)]])
    native.restore_buffer(model, payload_of(lock, prints_of([weights, scales])))
    expected = [reference.restore(lock, i, x) for i, x in enumerate([weights, scales])]
    assert model == write_file(
        [b"", expected[0].tobytes()], [[TinyTensor(1, expected[1])]]
    )


def test_whole_tensor_set_leaves_nothing_public() -> None:
    stored = values_of(ElementType.FLOAT32, 30, 1)
    lock = lock_of(record(Step.SET, (1, 30, 1), set_values=SetValues(None, stored)))
    zeros = np.zeros(30, np.float32)
    model = place(lock, [zeros])
    native.restore_buffer(model, payload_of(lock, prints_of([zeros])))
    assert model == place(lock, [stored])


def test_what_is_no_model() -> None:
    payload = pack_lock(lock_of(record(Step.SIGNS, (1, 8, 8))))
    for data in (b"", b"TFL3", b"\0\0\0\0TFL4" + bytes(90), bytes(100)):
        with pytest.raises(ConversionError, match="expected a TFLite flatbuffer"):
            native.restore_buffer(bytearray(data), payload)


def test_read_only_buffer_and_damaged_payload() -> None:
    payload = pack_lock(lock_of(record(Step.SIGNS, (1, 8, 8))))
    with pytest.raises(NativeError, match="expected writable"):
        native.restore_buffer(memoryview(bytes(100)), payload)
    with pytest.raises(PayloadError, match="cannot read lock payload"):
        native.restore_buffer(bytearray(100), payload[:-1])
