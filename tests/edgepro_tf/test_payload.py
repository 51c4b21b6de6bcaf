"""Packing and unpacking of locks; native/test_payload_parity judges the rules."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings

from edgepro_tf.errors import PayloadError
from edgepro_tf.locks import ElementType, ModelLock, SetValues, Step, TensorLock
from edgepro_tf.payload import pack_lock, unpack_lock
from tests.edgepro_tf.native.locks_of_samples import locks

SEED = bytes(range(32))


def lock_of(**fields: object) -> ModelLock:
    record = TensorLock(0, 3, ElementType.FLOAT32, (1, 8, 9), Step.ORDER)
    return ModelLock(SEED, (dataclasses.replace(record, **fields),))


@settings(deadline=None)
@given(locks())
def test_unpacking_undoes_packing(lock: ModelLock) -> None:
    lock = lock.with_fingerprints(list(range(len(lock.tensors))))
    again = unpack_lock(pack_lock(lock))
    assert again.seed == lock.seed
    for ours, theirs in zip(again.tensors, lock.tensors, strict=True):
        for field in dataclasses.fields(TensorLock):
            if field.name != "set_values":
                assert getattr(ours, field.name) == getattr(theirs, field.name)
        if theirs.set_values is None:
            assert ours.set_values is None
            continue
        assert ours.set_values is not None
        assert ours.set_values.channels == theirs.set_values.channels
        assert ours.set_values.values.tobytes() == theirs.set_values.values.tobytes()
    assert pack_lock(again) == pack_lock(lock)


def test_a_small_record_is_small() -> None:
    # Magic, seed and two counts; address, kind, shape, steps and fingerprint.
    assert len(pack_lock(lock_of())) == (4 + 32 + 2) + (2 + 1 + 3 + 1 + 4)


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": Step(0)},
        {"steps": Step.SET},
        {"steps": Step.SHUFFLE | Step.ORDER},
        {"steps": Step.EXPONENTS, "exponent_range": 9},
        {"steps": Step.SIGNS, "element_type": ElementType.UINT8},
        {"shape": (1, 0, 9)},
        {"shape": (1, 2**31, 2)},
        {"tensor": 2**32},
        {"steps": Step.SET, "set_values": SetValues((8,), np.float32([1]))},
        {"steps": Step.SET, "set_values": SetValues((3, 2), np.float32([1]))},
        {"steps": Step.SET, "set_values": SetValues(None, np.zeros(71, np.float32))},
    ],
)
def test_what_breaks_a_rule_is_not_written(fields: dict[str, object]) -> None:
    with pytest.raises(PayloadError):
        pack_lock(lock_of(**fields))


def test_two_records_for_one_constant() -> None:
    (record,) = lock_of().tensors
    with pytest.raises(PayloadError, match="two for one"):
        pack_lock(ModelLock(SEED, (record, record)))


def test_every_cut_is_refused() -> None:
    packed = pack_lock(
        lock_of(steps=Step.SET, set_values=SetValues((0, 7), np.float32([1, 2])))
    )
    for size in range(len(packed)):
        with pytest.raises(PayloadError):
            unpack_lock(packed[:size])
    with pytest.raises(PayloadError, match="nothing after"):
        unpack_lock(packed + b"\0")
