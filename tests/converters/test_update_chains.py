"""One keystream, one content: over any chain of versions and their updates.

Blocks of the keystream are taken from the reference, which is held against the native
core here as well: each block by key, nonce and counter, with what stood under it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from converters import lock_tflite, pipeline
from converters.pipeline import ProtectedModel
from converters.recipe import PRESETS, Recipe, find_recipe
from edgepro_tf import native
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.locks import ElementType, ModelLock, Step, TensorLock
from edgepro_tf.payload import pack_lock
from tests import reference
from tests.crafted import INT4, Crafted, move_constants_behind, pack, unpack
from tests.flatbuffers import FORMATS, export_cached

CHANNELS = 8
CONTENTS = 4
KINDS = ("float32", "float16", "int8", "uint8", "int4", "shared")
NUMPY_TYPES = {name: name for name in KINDS} | {"int4": "uint8", "shared": "float32"}
ROWS = Step.ORDER | Step.SIGNS | Step.EXPONENTS
RECIPES = {
    **PRESETS,
    "rows": Recipe("rows", ROWS, Step.SHUFFLE | Step.SIGNS, ROWS, Step.ORDER),
    "masks": dataclasses.replace(PRESETS["standard"], scales=Step(0)),
}
Block = tuple[bytes, tuple[int, int, int], int]


@functools.cache
def content(number: int) -> bytes:
    """256 bytes, numbers in every format; of the last, half the floats are zeros."""
    rng = np.random.default_rng(number)
    values = rng.normal(size=64).astype(np.float32)
    if number == CONTENTS - 1:
        values[::2] = 0
    bits = (values.view(np.uint32) & 0xFFFFBFFF).view(np.uint8)  # Finite halves.
    if number == 0:  # As int8 it takes a mask of its own.
        bits[bits == 0x80] = 0
    return bits.tobytes()


@dataclasses.dataclass(frozen=True)
class Layer:
    """Weights, a bias and scales by their number; names and places may change."""

    kind: str
    weights: int
    bias: int
    scales: int
    rows: int  # 0 for all elements on one axis.


@dataclasses.dataclass(frozen=True)
class Version:
    """One conversion, and which of those before it it is an update of."""

    layers: tuple[Layer, ...]
    recipe: str
    budget: float | None
    before: int | None  # So many versions ago; 0 is the first of all.
    is_renamed: bool
    is_behind: bool
    is_lock_trained: bool
    second_subgraph: bool

    def write(self, *, is_released: bool = False) -> bytes:
        """The file; a lock-trained one has a channel of zeros until it is released."""
        crafted = Crafted()
        source = crafted.add_tensor([1, CHANNELS])
        out = [
            self._add(crafted, source, layer, is_released=is_released)
            for layer in self.layers
        ]
        if self.second_subgraph:
            crafted.add_subgraph()
            other = crafted.add_tensor([1, CHANNELS])
            for layer in self.layers[::-1]:
                self._add(crafted, other, layer, is_released=is_released)
        model = unpack(crafted.finish([source], out))
        for graph in model.subgraphs if self.is_renamed else ():
            for tensor in graph.tensors:
                tensor.name = f"new_{bytes(tensor.name).decode()}"
        return move_constants_behind(pack(model)) if self.is_behind else pack(model)

    def _add(
        self, crafted: Crafted, source: int, layer: Layer, *, is_released: bool
    ) -> int:
        data, options = content(layer.weights), {}
        bias = np.frombuffer(content(layer.bias), np.float32)[:CHANNELS]
        count, given = len(data), np.frombuffer(data, NUMPY_TYPES[layer.kind]).copy()
        rows = CHANNELS if self.is_lock_trained else layer.rows
        is_shared = layer.kind == "shared" and not self.is_lock_trained
        if is_shared and crafted.model.buffers[2:]:
            number = len(crafted.model.buffers) - 1 - layer.weights % 2
            count = len(crafted.model.buffers[number].data) // 4
            given, options = None, {"buffer": number}
        elif layer.kind in ("float32", "shared"):
            count //= 4
            if self.is_lock_trained and not is_released:
                given.reshape(CHANNELS, -1)[2] = 0
        elif layer.kind == "float16":
            count //= 2
        else:
            scales = np.random.default_rng(layer.scales).uniform(0.1, 1, CHANNELS)
            options = {"scales": scales}
            if layer.kind == "int4":
                count, options = 2 * count, options | {"type_": INT4}
        shape = [rows, count // rows] if rows else [count]
        weights = crafted.add_tensor(shape, given, **options)
        if layer.kind == "float16":
            real = crafted.add_tensor(shape)
            crafted.add_operator("DEQUANTIZE", [weights], [real])
            weights = real
        return crafted.add_dense(
            source, weights, CHANNELS, crafted.add_tensor([CHANNELS], bias)
        )

    def lock(self, before: ProtectedModel | None) -> ProtectedModel:
        model = self.write()
        recipe = find_recipe(RECIPES[self.recipe], restore_budget=self.budget)
        if not self.is_lock_trained:
            return lock_tflite(model, recipe=recipe, update_of=before, runs=False)
        released = self.write(is_released=True)
        return pipeline._protect(model, released, recipe, None, before, runs=False)[0]


FIELDS = {
    "kind": st.sampled_from(KINDS),
    "weights": st.integers(0, CONTENTS - 1),
    "bias": st.integers(0, CONTENTS - 1),
    "scales": st.integers(0, 1),
    "rows": st.sampled_from([CHANNELS, CHANNELS, 4, 0]),
}
layers = st.builds(Layer, **FIELDS)
rarely = st.sampled_from([False, False, False, True])


@st.composite
def edited(draw: st.DrawFn, before: list[Layer]) -> list[Layer]:
    """The next version: a layer trained, added, taken out, or in another format."""
    after = list(before)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(after) - 1))
        name = draw(st.sampled_from(["add", "take", "swap", *FIELDS]))
        if name in FIELDS:
            changed = {name: draw(FIELDS[name])}
            after[at] = dataclasses.replace(after[at], **changed)
        elif name == "take" and len(after) > 1:
            del after[at]
        elif name == "swap":
            after[at], after[-1] = after[-1], after[at]
        elif len(after) < 5:
            after.insert(at, draw(layers))
    return after


@st.composite
def chains(draw: st.DrawFn) -> list[Version]:
    current, chain = draw(st.lists(layers, min_size=1, max_size=4)), list[Version]()
    for _ in range(draw(st.integers(2, 5))):
        chain.append(
            Version(
                tuple(current),
                draw(st.sampled_from(["standard"] * 4 + ["strict", "rows", "masks"])),
                draw(st.sampled_from([None, None, None, 0.2, 0.5])),
                draw(st.sampled_from([None, 0, *[1] * 6, 2])),
                *(draw(rarely) for _ in range(4)),
            )
        )
        current = draw(edited(current))
    return chain


def as_version_3(pair: ProtectedModel) -> ProtectedModel:
    """The same lock as the core before this one wrote it."""
    lock = dataclasses.replace(pair.lock, version=3)
    public = bytearray(pair.authorized)
    fingerprints = native.apply_lock(public, pack_lock(lock))
    lock = lock.with_fingerprints(fingerprints)
    return dataclasses.replace(
        pair, public=bytes(public), payload=pack_lock(lock), lock=lock
    )


@contextlib.contextmanager
def recorded_blocks() -> Iterator[set[Block]]:
    """The blocks of the keystream that the reference takes."""
    taken, chacha20_block = set(), reference.chacha20_block

    def take(key: bytes, nonce: tuple[int, int, int], counter: int) -> bytes:
        taken.add((key, nonce, counter))
        return cached_block(key, nonce, counter)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "chacha20_block", take)
        yield taken
    assert reference.chacha20_block is chacha20_block


@functools.lru_cache(1 << 14)
def cached_block(key: bytes, nonce: tuple[int, int, int], counter: int) -> bytes:
    return native.keystream(key, nonce, counter, 64)


class Ledger:
    """What stood under each block of the keystream, in every version's public file."""

    def __init__(self) -> None:
        self.under: dict[Block, tuple[Any, ...]] = {}
        self.kept = 0

    def enter(self, pair: ProtectedModel) -> None:
        constants, taken_by = read_model(pair.authorized).constants, {}
        for number, record in enumerate(pair.lock.tensors):
            constant = constants[record.subgraph, record.tensor]
            span = constant.scales if record.target else constant.data
            assert span is not None
            place = slice(span[0], sum(span))
            public = np.frombuffer(pair.public[place], record.element_type.dtype)
            with recorded_blocks() as blocks:
                before_set = reference.restore(
                    pair.lock, number, public, with_set=False
                ).tobytes()
            if not record.steps & Step.SET:
                assert before_set == pair.authorized[place]
            entry = (*how(record), digest(before_set), digest(public.tobytes()))
            assert blocks or record.steps == Step.SET
            for block in blocks:
                assert taken_by.setdefault(block, number) == number
                assert self.under.setdefault(block, entry) == entry
            self.kept += record.kept is not None


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def how(record: TensorLock) -> tuple[Any, ...]:
    """All of a record but where it stands and what it is kept from."""
    return (
        ElementType(record.element_type),
        record.target,
        record.shape,
        record.steps,
        record.exponent_range,
        record.window,
    )


def protected_by(lock: ModelLock) -> set[tuple[Any, ...]]:
    return {(one.subgraph, one.tensor, *how(one)) for one in lock.tensors}


def made(*layers: Layer) -> Version:
    return Version(layers, "standard", None, 1, *[False] * 4)


INT8 = Layer("int8", 0, 1, 0, CHANNELS)
FLAT = dataclasses.replace(INT8, rows=0)


@example([made(INT8), made(dataclasses.replace(INT8, scales=1))], False)
@example([made(FLAT), made(dataclasses.replace(FLAT, kind="uint8"))], False)
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(chains(), st.booleans())
def test_one_keystream_has_one_content(chain: list[Version], is_early: bool) -> None:
    """And an update protects all that a conversion of its own would."""
    ledger, pairs = Ledger(), list[ProtectedModel]()
    for version in chain:
        before = None
        if pairs and version.before is not None:
            before = pairs[-version.before % len(pairs)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pair, alone = version.lock(before), version.lock(None)
        if is_early and not pairs and not version.is_lock_trained:
            pair = as_version_3(pair)
        assert protected_by(pair.lock) == protected_by(alone.lock)
        ledger.enter(pair)
        ledger.enter(alone)
        pairs.append(pair)


@pytest.mark.parametrize("number_format", FORMATS)
def test_six_versions_of_a_network(number_format: str) -> None:
    """Of the stock converter's, a constant trained between each two."""
    model, ledger = export_cached("cnn", number_format), Ledger()
    before: ProtectedModel | None = None
    rng = np.random.default_rng(0)
    for _ in range(6):
        before = lock_tflite(model, update_of=before)
        ledger.enter(before)
        constants = list(read_model(model).constants.values())
        changed = bytearray(model)
        changed[constants[rng.integers(len(constants))].data[0]] ^= 1
        model = bytes(changed)
    assert ledger.kept
