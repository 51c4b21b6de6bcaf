"""Sequential halving measures the best ways most often."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from edgepro_tf.audit.workbench.halving import halve_ways


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20, unique=True),
    st.integers(1, 5),
)
def test_the_better_half_goes_on(quality: list[float], rounds: int) -> None:
    found = halve_ways(
        map(str, range(len(quality))), rounds, lambda way, _: quality[int(way)]
    )
    assert list(found) == [str(i) for i in range(len(quality))]
    ranked = sorted(found, key=lambda way: -quality[int(way)])
    counts = [len(found[way]) for way in ranked]
    assert counts[0] == rounds
    assert counts == sorted(counts, reverse=True)
    left = len(quality)
    for number in range(rounds):
        assert sum(count > number for count in counts) == left
        left = math.ceil(left / 2)


def test_earlier_measurements_are_kept() -> None:
    """What was lucky once is overtaken by what is good on average."""
    measured = {"lucky": [1.0, 0.0, 0.0], "good": [0.7, 0.7, 0.7], "bad": [0.0] * 3}
    found = halve_ways(measured, 3, lambda way, i: measured[way][i])
    assert found == {"lucky": [1.0, 0.0], "good": [0.7, 0.7, 0.7], "bad": [0.0]}


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=12
    ),
    st.lists(st.integers(0, 12), max_size=4),
)
def test_what_was_cut_short_goes_on(
    luck: list[tuple[float, ...]], cuts: list[int]
) -> None:
    """However often: in the end it is what it would have been in one go."""
    ways = [str(i) for i in range(len(luck))]
    measured: list[tuple[str, int]] = []
    told: list[int] = []

    def measure(way: str, number: int) -> float:
        measured.append((way, number))
        return luck[int(way)][number]

    known: dict[str, list[float]] = {}
    for cut in cuts:
        begun = len(measured)

        def is_over(left: int, begun: int = begun, cut: int = cut) -> bool:
            told.append(left + len(measured))
            return len(measured) - begun >= cut

        known = halve_ways(ways, 3, measure, known=known, is_over=is_over)
        assert all(known.values())
    found = halve_ways(ways, 3, measure, known=known)
    assert len(measured) == len(set(measured))
    assert set(told) <= {len(measured)}
    assert found == halve_ways(ways, 3, lambda way, i: luck[int(way)][i])


def test_what_could_not_be_measured_ends_it() -> None:
    values = iter([0.5, None])
    assert halve_ways(["a", "b", "c"], 2, lambda *_: next(values)) == {"a": [0.5]}
