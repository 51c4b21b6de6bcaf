"""What a lock may be, and that it keeps its secrets to itself."""

import pickle

import numpy as np
import pytest

from edgepro_tf.errors import LockError
from edgepro_tf.locks import (
    MASK_WINDOWS,
    ChannelLock,
    ElementType,
    ModelLock,
    SetValues,
    Step,
    TensorLock,
    find_mask_window,
    secret_rng,
)


def make_lock(
    scale: object, offset: object = None, order: object = None
) -> ChannelLock:
    count = len(np.atleast_1d(scale))
    return ChannelLock(
        scale,
        np.zeros(count) if offset is None else offset,
        np.arange(count) if order is None else order,
    )


def test_channel_lock_tells_what_it_does() -> None:
    lock = make_lock([0, -2, 0.5, 0], [0.25, 0, 0, 1], [1, 0, 2, 3])
    assert lock.channels == 4
    assert lock.authorization_neurons.tolist() == [0, 3]
    assert lock.has_order


def test_identity_changes_nothing() -> None:
    lock = ChannelLock.identity(5)
    assert not lock.has_order
    assert lock.authorization_neurons.size == 0


@pytest.mark.parametrize(
    ("scale", "offset", "order", "rule"),
    [
        ([1, 1], [0], [0, 1], "of one shape"),
        ([[1, 1]], [[0, 0]], [[0, 1]], "of one shape"),
        ([3, 1], [0, 0], [0, 1], "powers of two"),
        ([np.nan, 1], [0, 0], [0, 1], "powers of two"),
        ([np.inf, 1], [0, 0], [0, 1], "powers of two"),
        ([1, 1], [0, 0], [0, 0], "permutation"),
        ([1, 1], [0, 0], [1, 2], "permutation"),
    ],
)
def test_what_is_no_channel_lock(
    scale: object, offset: object, order: object, rule: str
) -> None:
    with pytest.raises(LockError, match=rule):
        ChannelLock(scale, offset, order)


def test_no_secret_in_a_repr() -> None:
    stored = SetValues((1, 2), np.float32([123.5]))
    record = TensorLock(
        0, 0, ElementType.FLOAT32, (1, 4, 1), Step.SET, set_values=stored
    )
    lock = ModelLock(b"\xab" * 32, (record,))
    shown = repr([make_lock([4, 0]), stored, record, lock])
    for secret in ("123.5", "(1, 2)", "xab", "4.", "abab"):
        assert secret not in shown


def test_sizes() -> None:
    record = TensorLock(0, 0, ElementType.INT16, (2, 4, 3), Step.ORDER)
    assert (record.channels, record.size, record.size_bytes) == (4, 24, 48)
    assert ModelLock(bytes(32), (record, record)).bytes_rewritten == 96


def test_element_types_are_those_of_numpy() -> None:
    sizes = {t.name: t.dtype.itemsize for t in ElementType}
    assert sizes == {
        "FLOAT32": 4,
        "INT32": 4,
        "INT8": 1,
        "FLOAT16": 2,
        "INT16": 2,
        "INT64": 8,
        "UINT8": 1,
    }
    assert [t.name for t in ElementType if t.is_float] == ["FLOAT32", "FLOAT16"]


def test_fingerprints_bind_a_lock() -> None:
    record = TensorLock(0, 0, ElementType.INT8, (1, 1, 1), Step.ORDER)
    lock = ModelLock.with_new_seed((record,))
    bound = lock.with_fingerprints([7])
    assert bound.tensors[0].fingerprint == 7
    assert bound.seed == lock.seed
    with pytest.raises(ValueError, match="zip"):
        lock.with_fingerprints([1, 2])


def test_seeds_are_fresh_and_seeded_draws_are_not() -> None:
    assert ModelLock.with_new_seed(()).seed != ModelLock.with_new_seed(()).seed
    assert secret_rng(3).random() == secret_rng(3).random()
    assert secret_rng().random() != secret_rng().random()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_window_ends_with_the_largest_element(dtype: type) -> None:
    values = np.random.default_rng(0).normal(0, 0.1, 4000).astype(dtype)
    size = MASK_WINDOWS[ElementType[np.dtype(dtype).name.upper()]]
    bias = 2 ** (np.finfo(dtype).nexp - 1) - 1
    exponent = int(np.floor(np.log2(np.abs(values).max().astype(np.float64)))) + bias
    assert find_mask_window(values) == exponent - size + 1


def test_no_window_for_what_it_would_not_hide() -> None:
    values = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert find_mask_window(values) is not None
    for spoilt in (np.inf, np.nan):
        assert find_mask_window(np.append(values, np.float32(spoilt))) is None
    pruned = np.append(values, np.zeros(10, np.float32))
    assert find_mask_window(pruned) is None
    assert find_mask_window(np.zeros(5, np.float32)) is None


@pytest.mark.parametrize("size", [1, 2, 60, 5000, 3_000_000])
def test_a_window_for_trained_weights_of_any_number(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size).astype(np.float32)
    assert find_mask_window(values) is not None
    assert find_mask_window(np.float32(0.2) * np.ones(size, np.float32)) is not None


@pytest.mark.parametrize(
    "secret",
    [ModelLock.with_new_seed(()), SetValues((1,), np.ones(1, np.float32))],
    ids=["lock", "locking values"],
)
def test_no_secret_is_pickled(secret: object) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(secret)
