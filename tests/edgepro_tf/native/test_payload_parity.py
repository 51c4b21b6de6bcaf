"""payload.py and payload.c accept the same bytes, and refuse the same."""

import ctypes

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepro_tf import native
from edgepro_tf.errors import PayloadError
from edgepro_tf.locks import ModelLock
from edgepro_tf.native._calls import _Status
from edgepro_tf.native._library import load_library
from edgepro_tf.payload import pack_lock, unpack_lock
from tests.edgepro_tf.native.locks_of_samples import locks

HEAD, HEAD_2, HEAD_4 = (b"EPL%d" % digit + bytes(32) for digit in (1, 2, 4))
KEPT = HEAD_4 + b"\x01" + bytes(32) + b"\x01"  # One earlier seed; one record.
thorough = settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow]
)


def python_accepts(payload: bytes) -> bool:
    try:
        unpack_lock(payload)
    except PayloadError:
        return False
    return True


def core_accepts(payload: bytes) -> bool:
    try:
        native.discard(native.hand_over(payload))
    except PayloadError:
        return False
    return True


@settings(deadline=None)
@given(locks())
def test_what_python_packs_the_core_reads(lock: ModelLock) -> None:
    assert core_accepts(pack_lock(lock))


@thorough
@given(lock=locks(), data=st.data())
def test_both_judge_mutated_payloads_alike(
    lock: ModelLock, data: st.DataObject
) -> None:
    payload = bytearray(pack_lock(lock))
    head = len(HEAD)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(head, len(payload) - 1))
        byte = data.draw(st.integers(0, 255) | st.sampled_from([0x7F, 0x80, 0xFF]))
        change = data.draw(st.sampled_from(["set", "insert", "remove", "cut"]))
        if change == "set":
            payload[position] = byte
        elif change == "insert":
            payload.insert(position, byte)
        elif change == "remove" and len(payload) > head + 1:
            del payload[position]
        else:
            del payload[position + 1 :]
    assert python_accepts(bytes(payload)) == core_accepts(bytes(payload))


@thorough
@given(st.binary(max_size=60))
def test_both_judge_noise_alike(tail: bytes) -> None:
    assert python_accepts(HEAD + tail) == core_accepts(HEAD + tail)
    assert python_accepts(tail) == core_accepts(tail)


def a_record(**changes: bytes) -> bytes:
    fields = {
        "subgraph": b"\0",
        "tensor": b"\0",
        "kind": b"\x01",
        "outer": b"\x01",
        "channels": b"\x04",
        "inner": b"\x01",
        "steps": b"\x01",
        "range": b"",
        "fingerprint": bytes(4),
        "kept": b"",
        "set": b"",
    }
    return b"".join({**fields, **changes}.values())


VALUE = np.float32(1).tobytes()
JUDGED = [
    (True, HEAD + b"\x01" + a_record()),
    (False, HEAD + b"\x00"),
    (False, HEAD + b"\x01"),
    (False, HEAD + b"\x01" + a_record() + b"\0"),
    (True, b"EPL3" + HEAD[4:] + b"\x01" + a_record()),
    (False, b"EPL5" + HEAD[4:] + b"\x01" + a_record()),
    (True, HEAD_4 + b"\x00\x01" + a_record()),
    (True, HEAD_4 + b"\x01" + bytes(32) + b"\x01" + a_record()),
    (False, HEAD_4 + b"\x02" + bytes(32) + b"\x01" + a_record()),
    (False, HEAD_4 + b"\xff\xff\xff\xff\x0f" + bytes(32) + b"\x01" + a_record()),
    (True, KEPT + a_record(kind=b"\x41", kept=b"\x00\x05")),
    (True, KEPT + a_record(kind=b"\x61", kept=b"\x00\x05")),  # its scales too
    (True, KEPT + a_record(kind=b"\x51", kept=b"\x00\xfd\xff\x07")),
    (False, KEPT + a_record(kind=b"\x41", kept=b"\x00\xfe\xff\x07")),
    (False, KEPT + a_record(kind=b"\x41", kept=b"\x01\x05")),  # one seed
    (False, KEPT + a_record(kind=b"\x41")),
    (False, KEPT + a_record(kind=b"\x81")),
    (False, HEAD_4 + b"\x00\x01" + a_record(kind=b"\x41", kept=b"\x00\x05")),
    (False, b"EPL3" + HEAD[4:] + b"\x01" + a_record(kind=b"\x41", kept=b"\x00\x05")),
    (False, b"EPK1" + HEAD[4:] + b"\x01" + a_record()),
    (True, HEAD_2 + b"\x01" + a_record()),
    (False, HEAD + b"\x02" + a_record() * 2),
    (True, HEAD + b"\x02" + a_record() + a_record(kind=b"\x11")),
    (True, HEAD + b"\x02" + a_record() + a_record(tensor=b"\x01")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x00")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x08")),
    (True, HEAD + b"\x01" + a_record(kind=b"\x21")),  # its scales too
    (False, HEAD + b"\x02" + a_record(kind=b"\x21") + a_record(kind=b"\x11")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x31")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x41")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x12")),  # int32 scales
    (False, HEAD + b"\x01" + a_record(kind=b"\x11", outer=b"\x02")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x11", steps=b"\x02")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x07", steps=b"\x02")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x00")),
    (True, HEAD + b"\x01" + a_record(steps=b"\x21", range=b"\x01")),  # order and mask
    (True, HEAD + b"\x01" + a_record(steps=b"\x20", range=b"\xef")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x20", range=b"\xf0")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x20", range=b"\x00")),
    (True, HEAD + b"\x01" + a_record(kind=b"\x04", steps=b"\x20", range=b"\x17")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x04", steps=b"\x20", range=b"\x18")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x03", steps=b"\x20")),  # uneven
    (True, HEAD_2 + b"\x01" + a_record(kind=b"\x03", steps=b"\x20")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x05", steps=b"\x20")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x22", range=b"\x01")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x24", range=b"\x01\x01")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x28", range=b"\x01")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x40")),
    (True, HEAD + b"\x01" + a_record(kind=b"\x07", steps=b"\x20")),  # raw bytes
    (False, HEAD + b"\x01" + a_record(kind=b"\x11", steps=b"\x20")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x09")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x0c", range=b"\x01")),
    (True, HEAD + b"\x01" + a_record(steps=b"\x04", range=b"\x08")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x04", range=b"\x00")),
    (False, HEAD + b"\x01" + a_record(steps=b"\x04", range=b"\x09")),
    (False, HEAD + b"\x01" + a_record(kind=b"\x03", steps=b"\x04", range=b"\x01")),
    (False, HEAD + b"\x01" + a_record(channels=b"\x00")),
    (True, HEAD + b"\x01" + a_record(channels=b"\xff\xff\xff\xff\x0f")),
    (False, HEAD + b"\x01" + a_record(channels=b"\xff\xff\xff\xff\x1f")),
    (False, HEAD + b"\x01" + a_record(channels=b"\xff\xff\xff\xff\x8f\x00")),
    (False, HEAD + b"\x01" + a_record(channels=b"\x84\x00")),
    (
        False,
        HEAD + b"\x01" + a_record(outer=b"\x80\x80\x04", channels=b"\x80\x80\x04"),
    ),
    (True, HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x00\x01\x03" + VALUE)),
    (False, HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x00\x01\x04" + VALUE)),
    (False, HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x00\x00" + VALUE)),
    (True, HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x00\x02\x00\x02" + VALUE)),
    (False, HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x00\x02\x00\x03" + VALUE)),
    (
        True,
        HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x01\x02\x00\x00" + VALUE * 2),
    ),
    (False, HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x01\x02\x00\x00" + VALUE)),
    (True, HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x02" + VALUE * 4)),
    (False, HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x02" + VALUE * 3)),
    (False, HEAD + b"\x01" + a_record(steps=b"\x10", set=b"\x03" + VALUE * 4)),
    (False, HEAD + b"\x01" + a_record(steps=b"\x10")),
    (False, b""),
]


@pytest.mark.parametrize(("is_payload", "data"), JUDGED)
def test_every_rule(is_payload: bool, data: bytes) -> None:
    assert python_accepts(data) == is_payload
    assert core_accepts(data) == is_payload


def test_no_secret_in_a_refusal() -> None:
    seed = b"\xab" * 32
    with pytest.raises(PayloadError) as refusal:
        native.hand_over(b"EPL1" + seed + b"\x01")
    assert "ab" * 4 not in str(refusal.value).lower()
    assert str(refusal.value).startswith("cannot read lock payload: expected")
    assert refusal.value.hint


def test_a_size_that_no_memory_has() -> None:
    lock, most = ctypes.c_void_p(), ctypes.c_size_t(-1)
    parse = load_library().edgepro_lock_parse
    status = parse(b"EPL1", most, ctypes.byref(lock), None, 0)
    assert status == _Status.OUT_OF_MEMORY and not lock
