"""Only the secret part learns, and its price is what the definition says."""

import keras
import numpy as np

from benchmarks.secret_parts import (
    FAMILIES,
    Family,
    draw_filters,
    draw_places,
    linear_layers,
    make_secret,
    price_of,
)
from edgepro_tf import zoo

ROWS = Family("rows", rows=0.25)


def network() -> keras.Model:
    """Filters [6, 8], [8, 8] and [8, 3]."""
    return zoo.build_model("mlp", (6,), 3, width=2)


def test_the_public_part_stays_at_the_draw() -> None:
    plain = network()
    model = make_secret(plain, ROWS, 5)
    rng = np.random.default_rng(0)
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    x, y = rng.normal(size=(64, 6)), rng.integers(0, 3, 64)
    model.fit(x, y, 16, epochs=3, verbose=0)
    drawn, places = draw_filters(plain, 5), draw_places(plain, ROWS, 5)
    for layer, values, secret in zip(linear_layers(model), drawn, places, strict=True):
        trained = np.asarray(layer.kernel)
        assert np.array_equal(trained[~secret], values[~secret])
        assert not np.any(trained[secret] == values[secret])


def test_prices_count_what_is_learned_and_what_is_written() -> None:
    plain = network()

    def price(family: Family) -> tuple[int, int]:
        found = price_of(plain, family, draw_places(plain, family, 0))
        assert found.weights == 4 * (48 + 64 + 24 + 19)
        return found.secret, found.rewritten

    # 2 of 8, 2 of 8 and 1 of 3 rows, 19 biases, 6 + 6 scale factors of public rows.
    assert price(ROWS) == (4 * (12 + 16 + 8 + 19 + 12), 4 * (48 + 64 + 8 + 19))
    bare = Family("rows", rows=0.25, normalised=False)
    assert price(bare) == (4 * (12 + 16 + 8 + 19), 4 * (12 + 16 + 8 + 19))
    # The hidden layer's scale factors move into the head, all of which is secret.
    assert price(Family("ends", ends=True)) == (4 * (48 + 24 + 19),) * 2
    updates = 2 * ((6 + 8) + (8 + 8) + (8 + 3))
    assert price(Family("rank", rank=2)) == (
        4 * (updates + 16 + 19),
        4 * (48 + 64 + 24 + 19),
    )


def test_every_family_trains_on_depthwise_networks() -> None:
    plain = zoo.build_model("depthwise", (4, 4, 1), 3, width=2)
    outputs = {
        f.name: make_secret(plain, f, 0)(np.ones((2, 4, 4, 1))) for f in FAMILIES
    }
    assert all(output.shape == (2, 3) for output in outputs.values())
