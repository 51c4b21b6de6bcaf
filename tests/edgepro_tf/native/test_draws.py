"""The keystream and the fingerprint, against the RFC and the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepro_tf import native
from edgepro_tf.errors import NativeError
from tests import reference

KEY = bytes(range(32))
# RFC 8439, section 2.3.2: nonce 00:00:00:09:00:00:00:4a:00:00:00:00, block 1.
BLOCK_NONCE = (0x09000000, 0x4A000000, 0)
BLOCK = bytes.fromhex(
    "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
    "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
)
# Section 2.4.2: nonce 00:00:00:00:00:00:00:4a:00:00:00:00, from block 1.
SUNSCREEN_NONCE = (0, 0x4A000000, 0)
SUNSCREEN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip "
    b"for the future, sunscreen would be it."
)
SUNSCREEN_SEALED = bytes.fromhex(
    "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"
    "f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8"
    "07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736"
    "5af90bbf74a35be6b40b8eedf2785e42874d"
)


def test_block_of_the_rfc() -> None:
    assert native.keystream(KEY, BLOCK_NONCE, 1, 64) == BLOCK


def test_encryption_of_the_rfc() -> None:
    stream = native.keystream(KEY, SUNSCREEN_NONCE, 1, len(SUNSCREEN))
    sealed = bytes(a ^ b for a, b in zip(SUNSCREEN, stream, strict=True))
    assert sealed == SUNSCREEN_SEALED


@settings(deadline=None, max_examples=40)
@given(
    key=st.binary(min_size=32, max_size=32),
    nonce=st.tuples(*[st.integers(0, 2**32 - 1)] * 3),
    counter=st.sampled_from([0, 1, 7, 2**32 - 3]),
    size=st.integers(0, 1200),
)
def test_keystream_is_the_reference(
    key: bytes, nonce: tuple[int, int, int], counter: int, size: int
) -> None:
    expected = reference.keystream(key, nonce, counter, size)
    assert native.keystream(key, nonce, counter, size) == expected


def test_short_key_is_refused() -> None:
    with pytest.raises(NativeError, match="expected a key of 32 bytes"):
        native.keystream(b"short", BLOCK_NONCE, 0, 1)


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_fingerprint_is_the_reference(data: bytes) -> None:
    assert native.fingerprint(data) == reference.fingerprint(data)


def test_fingerprint_tells_order_length_and_bits() -> None:
    data = np.random.default_rng(0).bytes(300)
    changed = [data + b"\0", data[:-1], data[128:256] + data[:128] + data[256:]]
    changed += [data[4:8] + data[:4] + data[8:], data[8:16] + data[8:]]
    changed += [
        data[:40] + bytes([data[40] ^ 1 << bit]) + data[41:] for bit in range(8)
    ]
    prints = [native.fingerprint(each) for each in [data, *changed]]
    assert len(set(prints)) == len(prints)
