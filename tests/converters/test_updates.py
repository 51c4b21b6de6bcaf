"""An update keeps the public bytes of what has not changed, and only of that."""

import dataclasses
import datetime
import pickle
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

from converters import (
    ShippedPair,
    convert_keras,
    lock_tflite,
    read_pair,
    write_pair,
)
from converters.pipeline import ProtectedModel
from edgepro_tf.errors import (
    ConversionError,
    UntrustedSidecarError,
    WrongKeyError,
    WrongModelError,
)
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.flatbuffer.views import Constant
from edgepro_tf.locking import PRESETS, lock_model
from edgepro_tf.locks import KeptDraws, Step
from edgepro_tf.payload import pack_lock, unpack_lock
from edgepro_tf.runtime.buffers import restore_to_buffer
from edgepro_tf.sidecar import (
    generate_identity,
    generate_issuer,
    load_identity,
    load_issuer_key,
)
from tests import models
from tests.crafted import Crafted, pack, schema, unpack
from tests.flatbuffers import FORMATS, export_cached


def constants_of(model: bytes) -> list[Constant]:
    """Every constant that an operator computes with, once, in execution order."""
    found = {
        operand.constant.data: operand.constant
        for operator in read_model(model).operators
        for operand in operator.operands
    }
    return list(found.values())


def change(model: bytes, constant: Constant) -> bytes:
    """The same file after training: one byte of a constant is another."""
    changed = bytearray(model)
    changed[constant.data[0]] ^= 1
    return bytes(changed)


def differing(ours: bytes, theirs: bytes) -> np.ndarray:
    """int [n]: offsets at which two files of one size differ."""
    assert len(ours) == len(theirs)
    return np.flatnonzero(np.frombuffer(ours, "u1") != np.frombuffer(theirs, "u1"))


def check_restores(pair: ProtectedModel, authorized: bytes) -> None:
    assert bytes(restore_to_buffer(pair.public, pair.payload)) == authorized


@pytest.mark.parametrize("recipe", ["standard", "strict"])
@pytest.mark.parametrize("number_format", FORMATS)
def test_what_has_not_changed_stays(number_format: str, recipe: str) -> None:
    first = export_cached("mobile", number_format)
    before = lock_tflite(first, recipe=recipe)
    head = max(constants_of(first)[-3:], key=lambda each: each.data[1])
    second = change(first, head)
    after = lock_tflite(second, recipe=recipe, update_of=before)
    check_restores(after, second)
    offset, size = head.data
    spans = [(offset, size), head.scales or (0, 0)]
    places = differing(before.public, after.public)
    for at in places:
        assert any(start <= at < start + length for start, length in spans)
    # What has changed is under another seed: more of it differs than the one byte.
    assert len(places) > 1
    assert {each.tensor for each in after.lock.tensors if not each.kept} == {
        head.tensor
    }
    assert 0 < after.bytes_kept < after.bytes_rewritten
    assert f"%); {after.bytes_kept:,} of these as in the version before" in str(after)
    assert "as in the version before" not in str(before)


def test_a_third_version_keeps_what_the_first_drew() -> None:
    first = export_cached("mobile", "int8")
    filters = sorted(constants_of(first), key=lambda each: -each.data[1])
    one = lock_tflite(first)
    second = change(first, filters[0])
    two = lock_tflite(second, update_of=one)
    third = change(second, filters[1])
    three = lock_tflite(third, update_of=two)
    check_restores(three, third)
    seeds = {each.kept.seed for each in three.lock.tensors if each.kept}
    assert seeds == {one.lock.seed, two.lock.seed}
    assert len(set(map(len, (one.payload, two.payload, three.payload)))) == 3
    # Forty bytes a generation, and a few for each constant.
    assert len(three.payload) < len(one.payload) + 2 * 40 + 4 * len(three.lock.tensors)


def draws_of(pair: ProtectedModel) -> list[tuple[bytes, int]]:
    """Seed and number of every record."""
    found = [
        record.kept or KeptDraws(pair.lock.seed, number)
        for number, record in enumerate(pair.lock.tensors)
    ]
    return [(each.seed, each.number) for each in found]


def test_equal_constants_do_not_share_draws() -> None:
    """Two biases of zeros are one content; in a public file they are two."""
    model = models.TOPOLOGIES["mobile"]()
    model.set_weights([np.zeros_like(w) if w.ndim == 1 else w for w in
                       model.get_weights()])  # fmt: skip
    before = convert_keras(model)
    after = convert_keras(model, update_of=before)
    assert len(set(draws_of(after))) == len(after.lock.tensors)
    assert after.bytes_kept


def dense_chain(*contents: int) -> bytes:
    """A dense layer for each content; equal numbers are equal weights."""
    crafted = Crafted()
    x = source = crafted.add_tensor([1, 16])
    for each in contents:
        data = np.random.default_rng(each).normal(size=(16, 16)).astype(np.float32)
        x = crafted.add_dense(x, crafted.add_tensor(data.shape, data), 16)
    return crafted.finish([source], [x])


def public_weights(pair: ProtectedModel) -> list[bytes]:
    constants = constants_of(pair.authorized)
    return [pair.public[each.data[0] : sum(each.data)] for each in constants]


@pytest.mark.parametrize("trained", [0, 1])
def test_an_update_does_not_tell_that_two_constants_were_equal(trained: int) -> None:
    """One of them has changed: the other under its draws would be seen to have been."""
    first, changed = dense_chain(1, 1), [1, 1]
    changed[trained] = 2
    before = lock_tflite(first)
    after = lock_tflite(dense_chain(*changed), update_of=before)
    stayed = map(bytes.__eq__, public_weights(before), public_weights(after))
    assert list(stayed) == [trained != 0, trained != 1]
    # Another that is equal now is drawn anew.
    third = lock_tflite(first, update_of=after)
    check_restores(third, first)
    assert draws_of(third)[1 - trained] == draws_of(after)[1 - trained]


def test_of_equal_constants_each_keeps_its_own_place() -> None:
    """One has changed and a third is equal now: there are as many as there were."""
    before = lock_tflite(dense_chain(1, 1, 2))
    after = lock_tflite(dense_chain(3, 1, 1), update_of=before)
    old, new = public_weights(before), public_weights(after)
    assert new[1] == old[1]
    assert new[2] not in old and new[0] not in old


def test_of_equal_constants_that_moved_none_takes_the_place_of_another() -> None:
    """A layer more, and the second of two has changed: the first one stands there."""
    before = lock_tflite(dense_chain(1, 1, 2))
    after = lock_tflite(dense_chain(3, 1, 4, 2), update_of=before)
    old, new = public_weights(before), public_weights(after)
    assert new[1] not in old
    assert new[3] == old[2]
    # With both of them there, it is known which is which.
    after = lock_tflite(dense_chain(3, 1, 1, 2), update_of=before)
    assert public_weights(after)[1:] == old


def test_scales_that_an_operator_gives_again_stay() -> None:
    """A DENSIFY's output has its filter's: a sidecar is renewed without its file."""
    crafted = Crafted()
    codes = crafted.rng.integers(-100, 100, (50, 8)).astype(np.int8)
    scales = np.arange(1, 51) / 100
    stored = crafted.add_tensor([50, 8], codes, scales=scales)
    dense = crafted.add_tensor([50, 8], type_=schema.TensorType.INT8, scales=scales)
    crafted.add_operator("DENSIFY", [stored], [dense])
    model = crafted.finish_dense(dense, 50, 8)
    before = lock_tflite(model, runs=False)
    assert before.public.count(np.float32(scales).tobytes()) == 0
    assert lock_tflite(model, runs=False, update_of=before).public == before.public


def test_an_update_of_metadata_changes_no_weight() -> None:
    first = export_cached("mobile")
    before = lock_tflite(first)
    after = lock_tflite(first, update_of=before)
    assert after.public == before.public
    assert after.lock.seed != before.lock.seed
    check_restores(after, first)


def test_another_recipe_keeps_what_it_draws_alike() -> None:
    first = export_cached("mobile")
    before = lock_tflite(first, recipe="standard")
    with pytest.warns(UserWarning, match="nothing stays of the version before"):
        after = lock_tflite(first, recipe="strict", update_of=before)
    check_restores(after, first)
    assert not after.bytes_kept


def opened_by(model: bytes, before: ProtectedModel, budget: float) -> list[str]:
    """Names that updating under a budget says it opens."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lock_tflite(model, update_of=before, restore_budget=budget)
    said = [each for each in caught if "the update opens" in str(each.message)]
    assert all(each.filename == __file__ for each in said)  # The line that locked it.
    names = [str(each.message).split(": ")[1].split(". ")[0] for each in said]
    return names[0].split(", ") if names else []


def test_an_update_that_opens_what_was_locked_says_so() -> None:
    first = export_cached("mobile")
    whole, part = lock_tflite(first), lock_tflite(first, restore_budget=0.2)
    locked = {each.tensor for each in part.lock.tensors}
    left = [each for each in constants_of(first) if each.tensor not in locked]
    names = [each.name for each in left]
    assert names
    assert opened_by(first, whole, 0.2) == names
    # By name where it has changed, and by content where it has another name.
    assert opened_by(change(first, left[0]), whole, 0.2) == names
    renamed = unpack(first)
    for tensor in renamed.subgraphs[0].tensors:
        tensor.name += b"_2"
    assert opened_by(pack(renamed), whole, 0.2) == [f"{name}_2" for name in names]
    # What was open before is no news.
    assert opened_by(first, part, 0.2) == []


def test_channels_of_lock_training_are_drawn_anew() -> None:
    """Their public bytes depend on the released rows, too."""
    model = models.TOPOLOGIES["cnn"]()
    config = dataclasses.replace(PRESETS["paper"], selection="random")
    locked = lock_model(model, config=config)
    before = convert_keras(locked)
    after = convert_keras(locked, update_of=before)
    assert any(each.steps & Step.SET for each in after.lock.tensors)
    assert not any(each.kept for each in after.lock.tensors if each.steps & Step.SET)
    check_restores(after, after.authorized)


def test_a_pair_of_an_earlier_core_is_drawn_anew() -> None:
    golden = Path(__file__).parents[1] / "golden" / "v2_float32"
    before = read_pair(
        golden / "model.tflite",
        identity=load_identity(golden / "identity.jwk"),
        issuer=load_issuer_key(golden / "issuer_key.jwk"),
    )
    model = bytes(restore_to_buffer(before.public, before.payload))
    with pytest.warns(UserWarning, match="nothing stays of the version before"):
        after = lock_tflite(model, update_of=before)
    check_restores(after, model)


@pytest.mark.parametrize(
    ("golden", "recipe"),
    [
        ("v3_float32_strict", "strict"),
        ("v4_float32", "standard"),
        ("v4_int8_standard_update", "standard"),
    ],
)
def test_golden_pairs_keep_all_of_their_bytes(golden: str, recipe: str) -> None:
    """What this core draws again is what the core of that day drew: a mask drawn
    otherwise, of the same content under the same keystream, would tell of both.
    """
    folder = Path(__file__).parents[1] / "golden" / golden
    before = read_pair(
        folder / "model.tflite",
        identity=load_identity(folder / "identity.jwk"),
        issuer=load_issuer_key(folder / "issuer_key.jwk"),
    )
    model = (folder / "authorized.tflite").read_bytes()
    after = lock_tflite(model, recipe=recipe, update_of=before)
    if "strict" in golden or "update" in golden:
        assert all(each.kept for each in after.lock.tensors)
    kept = [each for each in after.lock.tensors if each.kept]
    constants = read_model(model).constants
    assert kept
    for record in kept:
        constant = constants[record.subgraph, record.tensor]
        span = constant.scales if record.target else constant.data
        assert span is not None
        place = slice(span[0], sum(span))
        assert after.public[place] == before.public[place]
    check_restores(after, model)


def test_a_release_that_does_not_belong_together() -> None:
    first = export_cached("mobile")
    one, other = lock_tflite(first), lock_tflite(first)
    with pytest.raises(WrongModelError):
        lock_tflite(first, update_of=ShippedPair(one.public, other.payload))


def test_a_release_is_an_opened_pair() -> None:
    hint = r"got str\. Open it: update_of=read_pair"
    with pytest.raises(ConversionError, match=hint):
        lock_tflite(export_cached("mobile"), update_of="m.tflite")
    sidecar = types.SimpleNamespace(payload=b"EPL4")  # As open_sidecar gives it.
    with pytest.raises(ConversionError, match="got SimpleNamespace"):
        lock_tflite(export_cached("mobile"), update_of=sidecar)
    with pytest.raises(ConversionError, match=hint):
        convert_keras(models.TOPOLOGIES["mobile"](), update_of="m.tflite")


def test_a_pair_is_read_as_it_was_written(tmp_path: Path) -> None:
    identity, issuer = generate_identity(), generate_issuer()
    first = export_cached("mobile")
    before = lock_tflite(first)
    path = tmp_path / "model.tflite"
    write_pair(before, path, recipients=[identity.recipient], issuer=issuer)
    pair = read_pair(path, identity=identity, issuer=issuer.issuer_key)
    assert (pair.public, pair.payload) == (before.public, before.payload)
    assert repr(pair) == "ShippedPair()"
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(pair)
    with pytest.raises(WrongKeyError):
        read_pair(path, identity=generate_identity(), issuer=issuer.issuer_key)
    with pytest.raises(UntrustedSidecarError):
        read_pair(path, identity=identity, issuer=generate_issuer().issuer_key)
    path.write_bytes(lock_tflite(first).public)
    with pytest.raises(WrongModelError):
        read_pair(path, identity=identity, issuer=issuer.issuer_key)
    assert pack_lock(unpack_lock(pair.payload)) == pair.payload


def test_an_expired_pair_of_another_application_can_be_updated(tmp_path: Path) -> None:
    identity, issuer = generate_identity(), generate_issuer()
    first = export_cached("mobile")
    path = tmp_path / "model.tflite"
    write_pair(
        lock_tflite(first),
        path,
        recipients=[identity.recipient],
        issuer=issuer,
        audience="com.example.one",
        expires=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1),
    )
    before = read_pair(path, identity=identity, issuer=issuer.issuer_key)
    assert lock_tflite(first, update_of=before).public == before.public
