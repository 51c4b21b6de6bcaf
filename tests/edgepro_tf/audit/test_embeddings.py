"""Networks that begin with an embedding are audited as others are."""

import dataclasses

import keras
import numpy as np
import pytest

from converters import convert_keras
from edgepro_tf.audit.attacks import all_attacks
from edgepro_tf.audit.attacks.unlabelled import cluster_features
from edgepro_tf.audit.pair import audit_pair
from edgepro_tf.audit.scoring.tasks import cross_entropy
from edgepro_tf.audit.target import make_target
from edgepro_tf.audit.workbench.training import differentiate
from edgepro_tf.datasets import Dataset
from tests.edgepro_tf.audit.conftest import BUDGET, make_bench

WORDS, LENGTH, CLASSES = 12, 6, 3
TINY = dataclasses.replace(
    BUDGET, least_steps=10, most_steps=10, epochs=1, seeds=(0,), shares=(0.05,),
    wrong_locks=2, sign_rounds=5, is_thorough=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def words() -> Dataset:
    """Sentences whose words are of their class half of the time."""
    rng = np.random.default_rng(0)
    y = (np.arange(900) % CLASSES).astype(np.int32)
    x = rng.integers(0, WORDS, (900, LENGTH))
    own = y[:, None] * (WORDS // CLASSES) + x % (WORDS // CLASSES)
    x = np.where(rng.random(x.shape) < 0.5, own, x).astype(np.int32)
    return Dataset(x[:600], y[:600], x[600:], y[600:], "words", CLASSES)


@pytest.fixture(scope="module")
def reader(words: Dataset) -> keras.Model:
    return train_reader(words, hidden=8)


def train_reader(words: Dataset, hidden: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((LENGTH,), dtype="int32"),
        keras.layers.Embedding(WORDS, 8),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(CLASSES, activation="softmax"),
    ]
    if hidden:
        layers.insert(3, keras.layers.Dense(hidden, activation="relu"))
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(words.x_train, words.y_train, epochs=5, verbose=0)
    return model


@pytest.mark.parametrize(
    ("recipe", "restore_budget"),
    [("standard", None), ("fast", None), ("fast", 0.05)],
)
def test_every_attack_runs_end_to_end(reader, words, recipe, restore_budget) -> None:  # type: ignore[no-untyped-def]
    pair = convert_keras(
        reader,
        recipe=recipe,
        restore_budget=restore_budget,
        samples=words.x_train[:64],
    )
    report = audit_pair(pair.public, pair.payload, words, recipe=recipe, budget=TINY)
    attacks = [one for one in all_attacks() if one.task in ("", "classes")]
    assert len(report.summaries) == len(attacks)
    assert report.facts["authorized_accuracy"] > 0.5


def test_a_network_without_a_hidden_layer_is_audited(words) -> None:  # type: ignore[no-untyped-def]
    pair = convert_keras(train_reader(words, hidden=0), samples=words.x_train[:64])
    target = make_target(pair.public, pair.payload)
    bench = make_bench(target, words, shares=(0.05,))
    found = cluster_features(bench, bench.thief(0.05, 0))
    assert not found.applies and "no hidden layer" in found.chosen


def test_an_embedding_learns(reader, words) -> None:  # type: ignore[no-untyped-def]
    """Its gradient is dense, and zero for words that no example has."""
    pair = convert_keras(reader, samples=words.x_train[:64])
    target = make_target(pair.public, pair.payload)
    bench = make_bench(target, words, shares=(0.05,))
    x, y = np.full((4, LENGTH), 2), np.arange(4) % CLASSES
    classes = np.eye(CLASSES, dtype=np.float32)[y]
    network = target.network
    eager, gradients = differentiate(
        lambda p: cross_entropy(network.forward(p, x.astype(np.float32)), classes),
        [keras.ops.convert_to_tensor(p) for p in target.authorized],
    )
    loss, compiled = bench.gradient(target.authorized, x, y)
    # Four examples repeated to the bench's number of rows, a multiple of four.
    assert bench.rows % 4 == 0
    assert loss == pytest.approx(float(eager), abs=1e-5)
    assert gradients[0].shape == (WORDS, 8)
    np.testing.assert_allclose(compiled[0], gradients[0], atol=1e-5)
    assert np.flatnonzero(np.abs(compiled[0]).sum(1)).tolist() == [2]
