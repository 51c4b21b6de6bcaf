"""What errors take along."""

import pytest

from edgepro_tf.errors import without_locals


def test_a_ring_of_errors_is_gone_around_once() -> None:
    """Libraries that raise a stored error again make such chains."""
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    with pytest.raises(ValueError, match="first"), without_locals():
        raise first
