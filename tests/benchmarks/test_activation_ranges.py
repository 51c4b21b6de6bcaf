"""Ranges of no file, which those of a file are held against."""

import dataclasses

import numpy as np
import pytest

from benchmarks.activation_ranges import (
    SCRATCH,
    SHUFFLED,
    TRUE,
    VALIDATED,
    deal_ranges,
    format_rows,
)
from converters import convert_keras
from edgepro_tf.audit.target import Target, make_target
from edgepro_tf.audit.workbench.ranges import with_ranges
from edgepro_tf.flatbuffer.views import Range
from tests import models


@pytest.fixture(scope="module")
def target() -> Target:
    model = models.plain_cnn()
    samples = models.make_inputs(model)
    pair = convert_keras(model, samples=samples, number_format="int8")
    return make_target(pair.public, pair.payload)


def test_every_activation_is_dealt_anothers_range() -> None:
    ranges = [Range(0.0, 2.0), Range(0.0, 3.0), Range(-1.0, 5.0)]
    for seed in range(5):
        dealt = deal_ranges(ranges, np.random.default_rng(seed))
        assert sorted(r.greatest for r in dealt) == pytest.approx([2, 3, 5])
        for own, found in zip(ranges, dealt, strict=True):
            assert found.greatest != pytest.approx(own.greatest)
            shape = own.least / own.greatest
            assert found.least / found.greatest == pytest.approx(shape)


def test_a_target_states_other_ranges_and_is_the_same_else(target) -> None:  # type: ignore[no-untyped-def]
    """Activations that are only moved keep the range of what they are moved from."""
    known = list(target.network.ranges.values())
    other = [dataclasses.replace(r, greatest=9.0 + i) for i, r in enumerate(known)]
    stated = with_ranges(target, other).network
    assert list(stated.ranges) == list(target.network.ranges)
    assert list(stated.ranges.values()) == other
    for tensor, found in target.network.graph.ranges.items():
        if found in known:
            assert stated.graph.ranges[tensor] == other[known.index(found)]
    for a, b in zip(stated.values, target.network.values, strict=True):
        np.testing.assert_array_equal(a, b)


def test_best_ways_stand_beside_scratch() -> None:
    """Each by its own way that is best over the thieves, differences by thief."""
    rows = [
        {
            SCRATCH: {"a": [0.5 + x], "b": [0.4]},
            TRUE: {"d": [0.6 + x, 0.8 + x], "e": [0.9]} if x else {"d": [0.7]},
            SHUFFLED: {"d": [0.6 + x]},
            TRUE + VALIDATED: {"c": [0.55 + x]},
            SHUFFLED + VALIDATED: {"c": [0.5 + x]},
        }
        for x in (0.0, 0.1)
    ]
    lines = format_rows("m", rows).splitlines()
    assert lines[0] == "m: 2 thieves"
    assert lines[1].endswith("(a)") and "55.0 %" in lines[1]
    assert "minus scratch +20.0 ± 0.0" in lines[2] and lines[2].endswith("(d)")
    assert "the file's minus these +10.0 ± 0.0" in lines[3]
    assert "minus scratch +5.0 ± 0.0" in lines[4]
    assert "the file's minus these +5.0 ± 0.0" in lines[5]
