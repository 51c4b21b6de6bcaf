"""When attacks end: told to, or by the clock; and what each of them left undone."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from edgepro_tf.audit.attack import LEFT_OUT, SECONDS_LEFT

SCORES = "scores"  # Detail: of the candidates that a cut choice had validated.


class _Run(threading.local):
    """The attack that a thread runs."""

    until: float = math.inf
    is_needed: bool = False
    so_far: Mapping[str, Any] = {}
    diverged: int = 0
    left_out: int = 0
    seconds_left: float = 0.0
    scores: Sequence[float] = ()


class Watch:
    """Ends attacks that are under way, each of which has a thread of its own.

    ``stopped``, set from any thread, ends them all. When an attack's time is up, one
    that is needed makes do with what it has (``is_over``); others end.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._run = _Run()

    def begin(
        self, until: float, *, is_needed: bool, so_far: Mapping[str, Any]
    ) -> None:
        """An attack begins on this thread.

        Args:
            until: of ``time.monotonic``.
            is_needed: whether it has to give something, however late.
            so_far: details of the same attack, cut short before.
        """
        self._run.until, self._run.is_needed = until, is_needed
        self._run.so_far, self._run.scores = so_far, ()
        self._run.diverged, self._run.left_out, self._run.seconds_left = 0, 0, 0.0

    @property
    def so_far(self) -> Mapping[str, Any]:
        """Details of this attack from when it was cut short, if it was."""
        return self._run.so_far

    def check(self, ahead: float = 0.0) -> None:
        """Go on, or raise.

        Args:
            ahead: seconds that what comes next will take.

        Raises:
            CancelledError: all are stopped, or an attack that is not needed would not
                be done with that in time.
        """
        if self.stopped.is_set():
            raise CancelledError
        if self._is_late(ahead) and not self._run.is_needed:
            raise CancelledError

    def is_over(self, left: int, ahead: float = 0.0) -> bool:
        """Whether to make do without what is left; so much is noted as left out.

        Args:
            left: how much.
            ahead: seconds until the next time that this is asked, or to the end.

        Raises:
            CancelledError: as of ``check``.
        """
        self.check(ahead)
        if not self._is_late(ahead):
            return False
        self._run.left_out += left
        self._run.seconds_left += left * ahead
        return True

    def if_whole(self, measure: Callable[[], float]) -> float | None:
        """A measurement; None where it had no time for a training run of its own."""
        before = self._run.left_out
        found = measure()
        return found if self._run.left_out == before else None

    def keep_scores(self, scores: Sequence[float]) -> None:
        """Those that a choice has, which is cut short: it goes on from there."""
        self._run.scores = scores

    def count_divergence(self) -> None:
        """One training run diverged."""
        self._run.diverged += 1

    def notes(self) -> dict[str, Any]:
        """Details that the attack's outcome should have, of what there is any."""
        found = {
            "diverged_runs": self._run.diverged,
            LEFT_OUT: self._run.left_out,
            SECONDS_LEFT: round(self._run.seconds_left),
            SCORES: list(self._run.scores),
        }
        return {name: value for name, value in found.items() if value}

    def _is_late(self, ahead: float) -> bool:
        return time.monotonic() + ahead >= self._run.until
