"""The walker believes no offset: damaged files are refused, and never a crash."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepro_tf import native
from edgepro_tf.errors import ConversionError, WrongModelError
from tests.edgepro_tf.native.sample_models import (
    ELEMENTS,
    NAMES,
    make_pair,
    plan_lock,
    read_model,
)

REFUSALS = (ConversionError, WrongModelError)
WILD = [0, 1, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC]


def restore_or_refuse(model: bytearray, payload: bytes) -> None:
    """Refusing must leave the model as it was."""
    before = bytes(model)
    try:
        native.restore_buffer(model, payload)
    except REFUSALS:
        assert model == before


@pytest.mark.parametrize("name", [*NAMES, "two_signatures"])
def test_real_files_are_read(name: str) -> None:
    public, payload = make_pair(name)
    model = bytearray(public)
    written = native.restore_buffer(model, payload)
    assert model == read_model(name)
    assert written == plan_lock(name, ELEMENTS).bytes_rewritten


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_truncated_files(name: str) -> None:
    public, payload = make_pair(name)
    for size in [*range(200), *range(200, len(public), 61), len(public) - 1]:
        restore_or_refuse(bytearray(public[:size]), payload)


@settings(deadline=None, max_examples=500)
@given(
    name=st.sampled_from(["float32", "int8", "two_signatures"]),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(WILD) | st.integers(0, 2**32 - 1)),
        min_size=1,
        max_size=4,
    ),
)
def test_mutated_files(name: str, changes: list[tuple[float, int]]) -> None:
    public, payload = make_pair(name)
    model = bytearray(public)
    for place, word in changes:
        position = int(place * (len(model) - 4)) // 4 * 4
        struct.pack_into("<I", model, position, word)
    restore_or_refuse(model, payload)
    with contextlib.suppress(*REFUSALS):
        native.apply_lock(model, payload)


def test_every_word_of_the_structure() -> None:
    """Each 32-bit word of a small file, one at a time, replaced by wild ones."""
    public, payload = make_pair("two_signatures")
    for position in range(0, len(public) - 4, 4):
        for word in WILD:
            model = bytearray(public)
            struct.pack_into("<I", model, position, word)
            restore_or_refuse(model, payload)
