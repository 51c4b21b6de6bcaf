"""Rows and columns of one filter put in another's order: assignments in turn."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from edgepro_tf.audit.statistics import cosines

_ROUNDS = 12
_STARTS = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Match:
    """Which row and column of the public filter stands for each of the thief's own.

    Args:
        rows: int [rows].
        columns: int [columns].
        signs: float64 [rows], the factor's sign.
        likeness: mean cosine of the matched rows.
    """

    rows: np.ndarray
    columns: np.ndarray
    signs: np.ndarray
    likeness: float

    def apply(self, public: np.ndarray) -> np.ndarray:
        """The public filter [rows, groups, columns] in the thief's order."""
        return public[self.rows][:, :, self.columns] * self.signs[:, None, None]


def match_filters(
    own: np.ndarray,
    public: np.ndarray,
    *,
    moves_rows: bool,
    moves_columns: bool,
    flips: bool,
    rng: np.random.Generator,
) -> Match:
    """Align a public filter with one's own.

    Args:
        own: float [rows, groups, columns]; a group is a place in a window.
        public: the same shape; magnitudes, where signs are hidden (then ``own`` as
            well).
        moves_rows, moves_columns: whether their order is unknown.
        flips: whether a row may have the other sign.
        rng: draws orders of the columns to begin with; the likest match is kept.

    Source: Ainsworth, Hayase and Srinivasa, "Git Re-Basin", ICLR 2023, section 3.2,
    here for one layer whose rows and columns are both free; Kuhn 1955.
    """
    best: Match | None = None
    for start in range(_STARTS if moves_rows and moves_columns else 1):
        columns = np.arange(own.shape[2])
        if moves_columns:
            columns = (
                _by_profile(own, public)
                if start == 0
                else rng.permutation(own.shape[2])
            )
        found = _alternate(own, public, columns, moves_rows, moves_columns, flips)
        if best is None or found.likeness > best.likeness:
            best = found
    assert best is not None
    return best


def _alternate(
    own: np.ndarray,
    public: np.ndarray,
    columns: np.ndarray,
    moves_rows: bool,
    moves_columns: bool,
    flips: bool,
) -> Match:
    rows = np.arange(len(own))
    signs = np.ones(len(own))
    for _ in range(_ROUNDS):
        before = (rows, columns)
        likeness = cosines(_flat(own), _flat(public[:, :, columns]))
        if moves_rows:
            _, rows = linear_sum_assignment(-(np.abs(likeness) if flips else likeness))
        matched = likeness[np.arange(len(own)), rows]
        signs = np.where(matched < 0, -1.0, 1.0) if flips else np.ones(len(own))
        if moves_columns:
            placed = public[rows] * signs[:, None, None]
            gain = np.einsum("rgc,rgd->cd", _unit(own), _unit(placed))
            _, columns = linear_sum_assignment(-gain)
        if np.array_equal(before[0], rows) and np.array_equal(before[1], columns):
            break
    matched = np.diag(cosines(_flat(own), _flat(public[rows][:, :, columns])))
    mean = float(np.mean(np.abs(matched) if flips else matched))
    return Match(rows, columns, signs, mean)


def _by_profile(own: np.ndarray, public: np.ndarray) -> np.ndarray:
    """Columns paired by their sorted sizes, which no order of the rows changes."""
    profiles = [
        np.sort(np.abs(_unit(w)), axis=0).transpose(2, 0, 1) for w in (own, public)
    ]
    return linear_sum_assignment(-cosines(*[_flat(p) for p in profiles]))[1]


def _unit(w: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(_flat(w), axis=1)
    return w / np.maximum(norm, 1e-12)[:, None, None]


def _flat(w: np.ndarray) -> np.ndarray:
    return w.reshape(len(w), -1)
