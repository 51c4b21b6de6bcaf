"""A flag that ends attacks which are under way."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError


class Stop(threading.Event):
    """Set from one thread, checked by the others between two pieces of work."""

    def check(self) -> None:
        """Go on, or raise.

        Raises:
            CancelledError: it is set.
        """
        if self.is_set():
            raise CancelledError
