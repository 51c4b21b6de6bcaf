"""The native core: restores a lock into a ``.tflite`` in memory, or as a delegate.

Needs numpy and the standard library only. The library is loaded at the first call.
"""

from edgepro_tf.native._calls import (
    apply_lock,
    create_delegate,
    delegate_is_complete,
    destroy_delegate,
    discard,
    fingerprint,
    hand_over,
    keystream,
    restore_buffer,
    version,
)
from edgepro_tf.native._library import library_path

__all__ = [
    "apply_lock",
    "create_delegate",
    "delegate_is_complete",
    "destroy_delegate",
    "discard",
    "fingerprint",
    "hand_over",
    "keystream",
    "library_path",
    "restore_buffer",
    "version",
]
