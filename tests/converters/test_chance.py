"""A public file is right no more often, and no less, than by chance."""

from __future__ import annotations

import itertools
import warnings

import keras
import numpy as np
import pytest

from converters import convert_keras
from converters.agreement import Agreement, Correlation, compare, correlate
from converters.chance import Likeness, _rank, _read_answers, draw_by_chance
from converters.pipeline import ProtectedModel
from converters.samples import COUNT, Sample, make_samples, take_samples
from edgepro_tf.cli.training_job import train_network
from edgepro_tf.datasets import Dataset, load_dataset
from edgepro_tf.locking import LockConfig, lock_model
from edgepro_tf.locks import ModelLock

# Always the same answer, in which there is nothing to compare.
FIVE = keras.layers.Dense(
    1, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(5)
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def network(digits: Dataset) -> keras.Model:
    return train_network("mlp", digits, lock="none", epochs=3, seed=0, verbose=0).model


def draw_twice_in_vain(
    protected: ProtectedModel, rows: list[Sample]
) -> Likeness | None:
    """The first two draws are no locks: their file is the model itself."""
    draws = itertools.chain(
        [protected.authorized] * 2, itertools.repeat(protected.public)
    )
    public, _, agreement = draw_by_chance(
        lambda: (next(draws), protected.lock), protected.authorized, rows
    )
    assert public == protected.public
    return agreement


def test_agreement_is_measured_against_independent_answers() -> None:
    theirs = np.repeat(np.arange(4), 25)
    assert compare(theirs, theirs, 4) == Agreement(100, 1.0, 0.25, 0.25)
    constant = compare(np.zeros(100, int), theirs, 4)
    assert constant.excess == 0 and constant.observed == 0.25
    never = compare((theirs + 1) % 4, theirs, 4)
    assert never.observed == 0 and never.excess == 0.25


def test_a_constant_answer_is_measured_against_a_guess_too() -> None:
    theirs = np.repeat([0, 1], [90, 10])
    rare = compare(np.ones(100, int), theirs, 2)
    assert rare.observed == rare.by_chance == 0.1 and rare.excess == 0.4


@pytest.mark.parametrize("number_format", ["float32", "int8"])
def test_the_public_file_answers_real_inputs_by_chance(
    digits: Dataset, network: keras.Model, number_format: str
) -> None:
    rows = [[row[None]] for row in digits.x_train[:100]]
    protected = convert_keras(
        network,
        samples=digits.x_test,
        number_format=number_format,
        representative_dataset=lambda: iter(rows),
    )
    agreement = protected.agreement
    assert agreement is not None and agreement.rows == len(digits.x_test)
    # One draw in four is farther than this, all sixteen once in 10^9 times.
    assert agreement.excess <= 0.04
    assert str(agreement) in str(protected)


def test_a_draw_that_answers_like_the_model_is_drawn_again(
    digits: Dataset, network: keras.Model
) -> None:
    protected = convert_keras(network, samples=digits.x_test)
    rows = make_samples(protected.authorized, digits.x_test, most=200)
    agreement = draw_twice_in_vain(protected, rows)
    # Chosen over 360 inputs, of which these are 200: 0.016 a standard error, and six
    # of them. The two in vain have 0.8.
    assert agreement is not None and agreement.excess < 0.1


@pytest.mark.parametrize(
    "name, value, draws", [("_NEAR", 0, 20), ("_NEAR", 2, 16), ("LONGEST_S", 0, 1)]
)
def test_draws_in_vain_come_to_an_end(
    digits: Dataset,
    network: keras.Model,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: float,
    draws: int,
) -> None:
    """All of them, those before more are near enough, or the first that took long."""
    monkeypatch.setattr(f"converters.chance.{name}", value)
    protected = convert_keras(network)
    rows = make_samples(protected.authorized, digits.x_test, most=100)
    drawn: list[bytes] = []

    def draw() -> tuple[bytes, ModelLock]:
        drawn.append(protected.authorized)
        return drawn[-1], protected.lock

    draw_by_chance(draw, protected.authorized, rows, most_draws=20)
    assert len(drawn) == draws


def test_where_nothing_can_be_drawn_or_compared_there_is_one_draw(
    digits: Dataset, network: keras.Model
) -> None:
    def agreement_of(model: keras.Model, **options: object) -> object:
        protected = convert_keras(model, **options)
        assert isinstance(protected, ProtectedModel)
        return protected.agreement

    assert agreement_of(network) is None
    assert agreement_of(network, samples=digits.x_test[:99]) is None
    model = keras.Model(network.inputs, FIVE(network.layers[-2].output))
    assert agreement_of(model, samples=digits.x_test) is None


@pytest.mark.parametrize("number_format", ["float32", "int8"])
def test_every_output_that_classifies_is_compared(
    digits: Dataset, network: keras.Model, number_format: str
) -> None:
    """A value, always five, and whether a digit is odd: the latter tells a draw."""
    hidden = network.layers[-2].output
    odd = keras.layers.Dense(1, activation="sigmoid", name="odd")(hidden)
    model = keras.Model(network.inputs, [FIVE(hidden), odd])
    model.compile("adam", [None, "binary_crossentropy"])
    model.fit(digits.x_train, [digits.y_train, digits.y_train % 2], verbose=0)
    rows = [[row[None]] for row in digits.x_train[:100]]
    protected = convert_keras(
        model,
        number_format=number_format,
        inference_type="uint8" if number_format == "int8" else "float32",
        representative_dataset=lambda: iter(rows),
    )
    samples = make_samples(protected.authorized, digits.x_test, most=200)
    agreement = draw_twice_in_vain(protected, samples)
    assert isinstance(agreement, Agreement) and agreement.by_guess == 0.5
    assert "gives the model's answer at output 'output_1' to" in str(agreement)


@pytest.mark.parametrize("units", [1, 2])
def test_an_answer_at_every_pixel_is_compared(digits: Dataset, units: int) -> None:
    """Of masks, a draw may give most of a picture right by luck, too."""
    layers = keras.layers
    image = keras.Input((8, 8, 1))
    hidden = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    activation = "sigmoid" if units == 1 else "softmax"
    model = keras.Model(image, layers.Conv2D(units, 1, activation=activation)(hidden))
    loss = "binary_crossentropy" if units == 1 else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(1e-2), loss)
    bright = (digits.x_train > 0.4).astype(np.float32)
    model.fit(digits.x_train, bright, epochs=3, verbose=0)
    with pytest.warns(UserWarning, match="two or three classes"):
        protected = convert_keras(model)
    samples = make_samples(protected.authorized, digits.x_test, most=200)
    agreement = draw_twice_in_vain(protected, samples)
    assert isinstance(agreement, Agreement) and agreement.rows == 200 * 64
    assert agreement.by_guess == 0.5 and "12,800 places" in str(agreement)


def test_maps_of_values_are_compared_as_numbers(digits: Dataset) -> None:
    image = keras.Input((8, 8, 1))
    for head in (
        keras.layers.Conv2D(2, 1),
        keras.layers.Conv2D(3, 1, activation="relu", bias_initializer="ones"),
    ):
        model = keras.Model(
            image, head(keras.layers.Conv2D(4, 3, activation="relu")(image))
        )
        agreement = convert_keras(model, samples=digits.x_test).agreement
        assert isinstance(agreement, Correlation)
        assert agreement.rows == len(digits.x_test) and agreement.explained < 0.3


def test_a_lock_of_few_classes_drawn_blindly_warns(digits: Dataset) -> None:
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="relu"),
    ]
    model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
    with pytest.warns(UserWarning, match="two or three classes"):
        convert_keras(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert_keras(model, samples=digits.x_test)


def test_a_public_file_that_works_is_told(digits: Dataset) -> None:
    """A lock that was set and never trained with: released is nearly authorized."""
    model = train_network("mlp", digits, lock="none", epochs=3, seed=0, verbose=0).model
    locked = lock_model(model, config=LockConfig(fraction=0.05, signs=False), seed=0)
    with pytest.warns(UserWarning, match=r"alone gives .* needs no sidecar for that"):
        protected = convert_keras(locked, recipe="paper", samples=digits.x_test)
    assert protected.agreement is not None and protected.agreement.gain > 0.1


def test_answers_of_any_length_are_not_compared() -> None:
    series = keras.Input((None, 3))
    hidden = keras.layers.Conv1D(4, 1, activation="relu")(series)
    each = keras.layers.Conv1D(1, 1, activation="sigmoid")(hidden)
    model = keras.Model(series, keras.layers.Reshape((-1,))(each))
    rng = np.random.default_rng(0)
    rows = [[rng.normal(size=(1, 3 + i % 5, 3)).astype(np.float32)] for i in range(120)]
    assert convert_keras(model, samples=rows).agreement is None


def test_no_more_samples_are_taken_than_there_is_memory_for() -> None:
    megabytes = np.zeros((1, 1 << 25), np.float32)  # 128 of them
    assert len(take_samples(itertools.repeat([megabytes]))) == COUNT
    small = np.zeros((1, 4), np.float32)
    assert len(take_samples(itertools.repeat({"x": small}))) == 1000
    assert len(take_samples([[small]] * 3)) == 3


def test_large_samples_are_compared_whatever_their_type() -> None:
    """Of 100 inputs given 100 are compared, though they are hundreds of megabytes."""
    keras.utils.set_random_seed(0)
    image = keras.Input((160, 160, 3))
    pooled = keras.layers.AveragePooling2D(32)(image)
    answers = keras.layers.Dense(4)(keras.layers.Flatten()(pooled))
    model = keras.Model(image, answers)
    wide = np.random.default_rng(0).normal(size=(110, 160, 160, 3))
    for samples in (wide, wide.astype(np.float32)):
        agreement = convert_keras(model, samples=samples).agreement
        assert agreement is not None and agreement.rows >= 100
    taken = take_samples([row[None]] for row in wide)
    assert len(taken) >= 100


def test_a_model_too_slow_to_compare_says_so(
    digits: Dataset, network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converters.samples.LONGEST_S", 0.0)
    with pytest.warns(UserWarning, match=r"not compared .* of the 360 inputs given"):
        protected = convert_keras(network, samples=digits.x_test)
    assert protected.agreement is None


def test_places_all_over_a_large_mask_are_compared() -> None:
    """Every 256th place of a picture of that width is its left edge."""
    picture = np.zeros((1, 256, 256, 1), np.float32)
    picture[:, 64:192, 64:192] = 1
    seen = _read_answers(picture, 1)
    assert seen.of == "places" and len(seen.scores) == 256
    assert 0.15 < seen.scores.mean() < 0.35
    again = _read_answers(picture.copy(), 1)
    np.testing.assert_array_equal(seen.scores, again.scores)
    assert seen.numbers.shape == (1, 256)
    assert seen.scores.base is None  # The picture itself is let go.


def test_yes_and_no_at_places_are_two_classes() -> None:
    rng = np.random.default_rng(0)
    labels = rng.uniform(size=(1, 8, 8, 3)).astype(np.float32)
    assert _read_answers(labels, 1).classes == 2
    shares = labels / labels.sum(-1, keepdims=True)
    assert _read_answers(shares, 1).classes == 3
    rounded = np.rint(rng.dirichlet(np.ones(100), (1, 8, 8)) * 256) / 256
    assert _read_answers(rounded, 1).classes == 100
    assert _read_answers(labels * 3, 1).classes == 0


def test_numbers_are_held_against_a_line_for_each() -> None:
    """A thief fits a gain and a shift, and what he gets is the squared correlation."""
    rng = np.random.default_rng(0)
    theirs = rng.normal(size=(400, 3)) * [1, 2, 1e3] + 5
    line = correlate(theirs * [-3, 1e-9, 7] + 1e4, theirs)
    assert line.explained == pytest.approx(1, abs=1e-6)
    assert line.gain == pytest.approx(1 - 1 / 399, abs=1e-6)
    by_chance = [correlate(rng.normal(size=(400, 3)), theirs).explained
                 for _ in range(200)]  # fmt: skip
    # Of 200 squared correlations with a deviation of 0.0035 each.
    assert np.mean(by_chance) == pytest.approx(1 / 399, abs=1e-3)
    assert correlate(np.full((400, 3), 7.0), theirs) == Correlation(400, 0, 1 / 399)
    broken = np.where(rng.random((400, 3)) < 0.1, np.nan, theirs)
    assert 0.6 < correlate(broken, theirs).explained < 0.95
    # The third has nearly all of the variance.
    only = np.where([False, False, True], theirs, rng.normal(size=(400, 3)))
    assert correlate(only, theirs).explained > 0.99


@pytest.mark.parametrize("number_format", ["float32", "int8"])
@pytest.mark.parametrize("units", [1, 2])
def test_numbers_are_drawn_by_chance_too(
    digits: Dataset, network: keras.Model, units: int, number_format: str
) -> None:
    # Half of its draws are below 0.07; of another head all 64 were above 0.076.
    initializer = keras.initializers.GlorotUniform(seed=7)
    value = keras.layers.Dense(units, kernel_initializer=initializer, name="value")
    model = keras.Model(network.inputs, value(network.layers[-2].output))
    protected = convert_keras(model, samples=digits.x_test, number_format=number_format)
    agreement = protected.agreement
    assert agreement is not None and agreement.rows == len(digits.x_test)
    # Two numbers are read as two classes, too.
    assert agreement.excess < 0.1 and str(agreement) in str(protected)
    samples = make_samples(protected.authorized, digits.x_test, most=200)
    agreement = draw_twice_in_vain(protected, samples)
    assert agreement is not None and agreement.excess < 0.2
    assert units > 1 or isinstance(agreement, Correlation)


def test_shares_of_which_none_says_yes_are_numbers(
    digits: Dataset, network: keras.Model
) -> None:
    """Below a half all of them are one class, which tells no draw from another."""
    initializer = keras.initializers.GlorotUniform(seed=7)
    layer = keras.layers.Dense(1, "sigmoid", kernel_initializer=initializer)
    share = keras.layers.Rescaling(0.4)(layer(network.layers[-2].output))
    agreement = convert_keras(
        keras.Model(network.inputs, share), samples=digits.x_test
    ).agreement
    assert isinstance(agreement, Correlation) and agreement.excess < 0.1


def test_what_is_read_both_ways_is_judged_by_both() -> None:
    def look(same: float, explained: float) -> list[Likeness]:
        return [Agreement(400, same, 0.5, 0.5), Correlation(400, explained, 0.0)]

    assert _rank(look(0.54, 0.02)) < _rank(look(0.51, 0.18))
    assert _rank(look(0.54, 0.06)) > _rank(look(0.51, 0.1))
    assert _rank(look(0.505, 0.009)) == _rank(look(0.5, 0.0))  # Both near enough.


def test_numbers_that_take_too_long_are_said_to_be_skipped(
    digits: Dataset, network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = keras.layers.Dense(1, name="value")(network.layers[-2].output)
    monkeypatch.setattr("converters.samples.LONGEST_S", 0.0)
    with pytest.warns(UserWarning, match=r"not compared .* of the 360 inputs given"):
        convert_keras(keras.Model(network.inputs, value), samples=digits.x_test)


@pytest.mark.parametrize("count", [100, 103])
def test_inputs_are_counted_where_a_model_takes_four(
    digits: Dataset, count: int
) -> None:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), batch_size=4),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    agreement = convert_keras(model, samples=digits.x_test[:count]).agreement
    assert agreement is not None and agreement.rows == 100


def test_noise_is_no_real_input_however_many_a_model_takes() -> None:
    inputs = keras.Input((8,), batch_size=32)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    with pytest.warns(UserWarning, match="Pass 100 real inputs"):
        assert convert_keras(model).agreement is None


def test_an_output_that_is_always_the_same_hides_no_other() -> None:
    inputs = keras.Input((8,))
    network = keras.layers.Dense(8, activation="relu")(inputs)
    always = keras.layers.Dense(1, "sigmoid", kernel_initializer="zeros")(network)
    value = keras.layers.Dense(1)(network)
    samples = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    both = convert_keras(keras.Model(inputs, [always, value]), samples=samples)
    assert isinstance(both.agreement, Correlation)
    with pytest.warns(UserWarning) as told:
        alone = convert_keras(keras.Model(inputs, always), samples=samples)
    assert alone.agreement is None
    assert not any("not compared" in str(each.message) for each in told)
