"""Layouts of TFLite's structs that no installed runtime has."""

import ctypes
from collections.abc import Sequence

import numpy as np
import pytest

from edgepro_tf import native
from edgepro_tf.locks import ElementType, ModelLock, Step, Target, TensorLock
from tests import reference
from tests.edgepro_tf.native.fake_context import FakeContext, wrong_layouts
from tests.edgepro_tf.native.locks_of_samples import payload_of, place

STEPS = Step.ORDER | Step.SIGNS
LOCK = ModelLock(
    bytes(32),
    (
        TensorLock(0, 1, ElementType.INT8, (1, 16, 40), STEPS),
        TensorLock(0, 1, ElementType.FLOAT32, (1, 16, 1), Step.SHUFFLE, Target.SCALES),
        TensorLock(0, 2, ElementType.FLOAT32, (1, 5, 3), STEPS),
    ),
)


def make_constants() -> list[tuple[np.ndarray, np.ndarray | None]]:
    rng = np.random.default_rng(0)
    scales = np.linspace(0.1, 0.9, 16, dtype=np.float32)
    return [
        (np.zeros(3, np.float32), None),
        (rng.integers(-127, 128, 640).astype(np.int8), scales),
        (rng.normal(size=15).astype(np.float32), None),
    ]


def public_constants() -> list[np.ndarray]:
    (_, (weights, scales), (dense, _)) = make_constants()
    assert scales is not None
    return [weights, scales.copy(), dense]


def make_delegate(lock: ModelLock = LOCK, public: Sequence[np.ndarray] = ()) -> int:
    prints = [native.fingerprint(p.tobytes()) for p in public or public_constants()]
    handle = str(native.hand_over(payload_of(lock, prints))).encode()
    library = ctypes.CDLL(str(native.library_path()))
    create = library.tflite_plugin_create_delegate
    create.restype = ctypes.c_void_p
    keys, values = (ctypes.c_char_p * 1)(b"handle"), (ctypes.c_char_p * 1)(handle)
    return int(create(keys, values, ctypes.c_size_t(1), None))


def destroy(delegate: int) -> None:
    library = ctypes.CDLL(str(native.library_path()))
    library.tflite_plugin_destroy_delegate(ctypes.c_void_p(delegate))


@pytest.mark.parametrize("zero_points", [None, 1], ids=["", "one zero point"])
@pytest.mark.parametrize("pointed", [False, True], ids=["inline", "pointed"])
def test_both_layouts_of_float_arrays(pointed: bool, zero_points: int | None) -> None:
    delegate = make_delegate()
    context = FakeContext(
        make_constants(), pointed_scales=pointed, zero_points=zero_points
    )
    assert context.prepare(delegate) == 0, context.reports
    public = public_constants()
    weights, scales, dense = (
        reference.restore(LOCK, i, constant) for i, constant in enumerate(public)
    )
    np.testing.assert_array_equal(context.data(1, weights), weights)
    np.testing.assert_array_equal(context.scales, scales)
    np.testing.assert_array_equal(context.data(2, dense), dense)
    assert native.delegate_is_complete(delegate)
    assert context.tensors[1].data % 64 == 0
    # Again: nothing is restored twice.
    assert context.prepare(delegate) == 0
    np.testing.assert_array_equal(context.scales, scales)
    np.testing.assert_array_equal(context.data(1, weights), weights)
    destroy(delegate)


def test_large_constant_is_restored_on_several_threads() -> None:
    size = (1 << 18) + 5  # more than 1 MiB
    lock = ModelLock(
        bytes(32),
        (TensorLock(0, 0, ElementType.FLOAT32, (1, size, 1), Step.SHUFFLE),),
    )
    public = np.random.default_rng(0).normal(size=size).astype(np.float32)
    file = place(lock, [public])
    native.restore_buffer(
        file, payload_of(lock, [native.fingerprint(public.tobytes())])
    )
    delegate = make_delegate(lock, [public])
    context = FakeContext([(public, None)])
    assert context.prepare(delegate) == 0
    assert file == place(lock, [context.data(0, public)])
    destroy(delegate)


@pytest.mark.parametrize("layout", wrong_layouts())
def test_wrong_layouts_are_refused(layout: str) -> None:
    delegate = make_delegate()
    context = FakeContext(make_constants(), **wrong_layouts()[layout])
    assert context.prepare(delegate) == 1
    assert all(text.endswith(". ") for text in context.reports)
    assert not native.delegate_is_complete(delegate)
    destroy(delegate)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_wrong_number_of_tensors_is_refused(size: int) -> None:
    delegate = make_delegate()
    context = FakeContext(make_constants())
    context.context.tensors_size = size
    assert context.prepare(delegate) == 1
    assert context.reports[0].startswith("cannot restore this model: ")
    assert context.reports[0].endswith(". ")
    destroy(delegate)


@pytest.mark.parametrize("size", [2**31, ctypes.c_size_t(-1).value])
def test_unknown_layout_is_said_on_stderr(
    size: int, capfd: pytest.CaptureFixture[str]
) -> None:
    delegate = make_delegate()
    context = FakeContext(make_constants())
    context.context.tensors_size = size
    assert context.prepare(delegate) == 1
    assert "got another layout. Restore the file" in capfd.readouterr().err
    assert context.reports == []
    destroy(delegate)


def test_constants_that_are_none_are_never_read() -> None:
    for field, value in (("data", None), ("allocation_type", 2), ("bytes", 2**40)):
        delegate = make_delegate()
        context = FakeContext(make_constants())
        setattr(context.tensors[2], field, value)
        assert context.prepare(delegate) == 1
        assert "belongs to another model file" in context.reports[0]
        destroy(delegate)


def test_no_report_function() -> None:
    delegate = make_delegate()
    context = FakeContext(make_constants())
    context.context.tensors_size = 1
    ctypes.memset(
        ctypes.addressof(context.context) + type(context.context).report_error.offset,
        0,
        8,
    )
    assert context.prepare(delegate) == 1
    destroy(delegate)


@pytest.mark.parametrize("zero_points", [None, 1], ids=["", "one zero point"])
def test_scales_that_spell_an_address_are_not_followed(
    zero_points: int | None,
) -> None:
    """Four scales where sixteen are due; their bits are (address, 16) as pointed ones.

    Were they believed, an address of the file's choice would be read and written.
    """
    delegate = make_delegate()
    constants = make_constants()
    hostile = np.array([0x1234, 16, 0, 0], np.uint32).view(np.float32)
    constants[1] = (constants[1][0], hostile)
    context = FakeContext(constants, zero_points=zero_points)
    assert context.prepare(delegate) == 1
    assert "belongs to another model file" in context.reports[0]
    destroy(delegate)
