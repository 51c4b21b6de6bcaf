"""Orders are found where something tells them, and nowhere else."""

import numpy as np
import pytest

from converters.recipe import Recipe
from edgepro_tf.audit import statistics
from edgepro_tf.audit.attacks import no_data, own_network, with_help
from edgepro_tf.audit.matching import match_filters
from edgepro_tf.audit.target import relock
from edgepro_tf.locks import Step
from tests.edgepro_tf.audit.conftest import (
    lock,
    make_bench,
    relock_layer,
    with_public,
)

RNG = np.random.default_rng(7)


def scramble(w: np.ndarray) -> np.ndarray:
    """Rows permuted, scaled by powers of two."""
    gains = 2.0 ** RNG.integers(-2, 3, len(w))
    return w[RNG.permutation(len(w))] * gains.reshape(-1, *[1] * (w.ndim - 1))


@pytest.mark.parametrize("hidden", ["order", "signs", "mask"])
def test_rows_and_columns_find_their_places(hidden: str) -> None:
    own = RNG.standard_normal((40, 9, 30))
    rows, columns = RNG.permutation(40), RNG.permutation(30)
    public = own[rows][:, :, columns] + 0.1 * RNG.standard_normal(own.shape)
    if hidden == "signs":
        public *= RNG.choice([-1.0, 1.0], (40, 1, 1))
    if hidden == "mask":
        public *= RNG.choice([-1.0, 1.0], public.shape)
        own, public = np.abs(own), np.abs(public)
    found = match_filters(
        own, public, moves_rows=True, moves_columns=True, flips=hidden == "signs",
        rng=RNG,
    )  # fmt: skip
    np.testing.assert_array_equal(rows[found.rows], np.arange(40))
    np.testing.assert_array_equal(columns[found.columns], np.arange(30))
    assert found.likeness > 0.9
    assert np.abs(found.apply(public) - own).mean() < 0.1


@pytest.mark.parametrize("steps", [Step.ORDER | Step.SIGNS, Step.ORDER | Step.MASK])
def test_a_layer_comes_back_into_a_network_like_it(unlocked, data, steps) -> None:  # type: ignore[no-untyped-def]
    """One's own network is the authorized one, perturbed: its order is found."""
    layer = 1
    i = unlocked.network.linears[layer].filter
    true = unlocked.authorized[i]
    public = scramble(true)
    shape = (len(true), 1) if steps & Step.SIGNS else true.shape
    public = public * RNG.choice([-1.0, 1.0], shape)
    bench = make_bench(relock_layer(unlocked, layer, public, steps), data)
    own = [p + 0.02 * RNG.standard_normal(p.shape) for p in unlocked.authorized]
    own = [p.astype(np.float32) for p in own]
    found = own_network.match_layers(bench, own, (layer,), RNG)
    big = np.abs(true) > 0.05  # The perturbation may turn smaller ones.
    np.testing.assert_array_equal(np.sign(found[i][big]), np.sign(true[big]))
    np.testing.assert_allclose(found[i][big], true[big], rtol=0.1)


def test_activations_find_an_order_that_weights_lost(unlocked, data) -> None:  # type: ignore[no-untyped-def]
    layer = 1
    i = unlocked.network.linears[layer].filter
    true = unlocked.authorized[i]
    target = relock_layer(unlocked, layer, scramble(true), Step.ORDER | Step.EXPONENTS)
    bench = make_bench(target, data)
    wrong = list(unlocked.authorized)
    wrong[i] = true[RNG.permutation(len(true))]
    found = own_network.match_activations(
        bench, unlocked.authorized, wrong, data.x_train[:200]
    )
    right = np.isclose(found[i], true, rtol=1e-4).all(1)
    assert right.mean() > 0.8  # Units that never fire look alike.


def test_pairs_of_rows_of_two_versions_are_found(standard, data) -> None:  # type: ignore[no-untyped-def]
    """They stand in the same places; the product of two masks is a coin."""
    bench = make_bench(standard, data)
    paired, details = no_data._pair_rows(bench, relock(standard, bytes(32)))
    assert not any(map(np.array_equal, paired, standard.public))
    # 984 coins, 0.5 / sqrt(984) = 0.016 a standard error: five of them.
    assert details["signs_alike_in_paired_rows"] == pytest.approx(0.5, abs=0.08)
    assert details["auc_of_product"] < 0.58
    _, same = no_data._pair_rows(bench, standard.draw)
    assert same["signs_alike_in_paired_rows"] == 1


def test_rows_are_known_under_an_order_and_signs(model, data) -> None:  # type: ignore[no-untyped-def]
    rows = Step.ORDER | Step.SIGNS
    target = lock(model, data, Recipe("rows", rows, rows, Step(0), Step(0)))
    for layer, one in enumerate(target.network.linears):
        order = statistics.true_order(target, target.draw, layer)
        np.testing.assert_array_equal(
            np.abs(target.public[one.filter]),
            np.abs(target.authorized[one.filter][order]),
        )


def test_an_order_that_norms_betray_is_read(unlocked, data) -> None:  # type: ignore[no-untyped-def]
    """Strong rows that are read strongly: ranks put every one in its place."""
    layer = 0
    linears = unlocked.network.linears
    authorized = list(unlocked.authorized)
    strength = np.linspace(1, 3, 24)
    norm = np.linalg.norm(authorized[linears[0].filter], axis=1)
    authorized[linears[0].filter] = (
        authorized[linears[0].filter] * (strength / norm)[:, None]
    ).astype(np.float32)
    columns = np.linalg.norm(authorized[linears[1].filter], axis=0)
    authorized[linears[1].filter] = (
        authorized[linears[1].filter] * (strength / columns)
    ).astype(np.float32)
    public, steps = list(authorized), [Step(0)] * len(unlocked.steps)
    i = linears[layer].filter
    public[i], steps[i] = public[i][RNG.permutation(24)], Step.ORDER
    target = with_public(unlocked, public, tuple(steps))
    target.authorized[:] = authorized
    bench = make_bench(target, data)
    found = no_data.order_by_norms(bench, bench.thief(0.02, 0))
    assert found.details["most_rows_placed_right"] == 1


@pytest.mark.parametrize("steps", [Step.ORDER | Step.SIGNS, Step.ORDER | Step.MASK])
def test_rows_of_a_public_base_are_found(steps: Step) -> None:
    """A base differs a little: large elements come back with their signs."""
    true = RNG.standard_normal((20, 50))
    base = true + 0.1 * RNG.standard_normal(true.shape)
    shape = (20, 1) if steps & Step.SIGNS else true.shape
    public = scramble(true) * RNG.choice([-1.0, 1.0], shape)
    found, _ = with_help._adopt(public, base, steps | Step.EXPONENTS)
    large = np.abs(true) > 0.5
    np.testing.assert_allclose(found[large], true[large], rtol=1e-6)


def test_neurons_that_stand_out_are_clustered_and_dropped(unlocked, data) -> None:  # type: ignore[no-untyped-def]
    """Four units shout: statistics point at them, dropping them brings answers back."""
    i, loud = unlocked.network.linears[1].filter, [3, 8, 15, 20]
    public = unlocked.authorized[i].copy()
    public[loud] = 4 * RNG.standard_normal((4, 24))
    target = relock_layer(unlocked, 1, public, Step(0))
    score = statistics.row_statistics(target, target.public, 1)[
        "belongs to the smaller cluster"
    ]
    truth = np.isin(np.arange(24), loud)
    assert statistics.area_under_curve(score, truth) > 0.9
    bench = make_bench(target, data)
    found = no_data.drop_and_clip(bench, bench.thief(0.02, 0)).accuracy
    assert found > bench.accuracy(target.public) + 0.1
