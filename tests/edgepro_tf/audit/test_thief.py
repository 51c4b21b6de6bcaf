"""What a thief holds out of his data to choose by."""

import numpy as np
import pytest

from edgepro_tf.audit.thief import Thief


@pytest.mark.parametrize(
    "labels, least, folds", [(9, 1, 3), (90, 1, 3), (180, 1, 2), (900, 1, 1), (9, 5, 5)]
)
def test_a_choice_rests_on_ninety_examples_or_three_folds(
    labels: int, least: int, folds: int
) -> None:
    x = np.zeros((labels, 1))
    thief = Thief(0.1, 0, x, np.zeros(labels, int), x)
    drawn = thief.draw_folds(least, thief.rng("a choice"))
    assert [len(set(fold)) for fold in drawn] == [labels // 3] * folds
    for fold in drawn:
        rest = thief.examples_but(fold)
        assert sorted([*fold, *rest]) == list(range(labels))
