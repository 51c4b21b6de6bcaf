"""Records that name one constant twice, which no converter writes."""

import pytest

from edgepro_tf import native
from edgepro_tf.errors import WrongModelError
from edgepro_tf.locks import ElementType, ModelLock, Step, TensorLock
from edgepro_tf.payload import pack_lock
from edgepro_tf.runtime.delegates import open_with_payload
from tests.crafted import Crafted


def test_one_constant_for_two_records_is_refused() -> None:
    """By the delegate as by whoever restores a buffer."""
    crafted = Crafted()
    x = crafted.add_tensor([1, 8])
    first = crafted.add_weights(8, 8)
    buffer = crafted.model.subgraphs[0].tensors[first].buffer
    second = crafted.add_tensor([8, 8], buffer=buffer)
    y = crafted.add_dense(x, first, 8)
    public = crafted.finish([x], [crafted.add_dense(y, second, 8)])
    fingerprint = native.fingerprint(crafted.model.buffers[buffer].data.tobytes())
    records = [
        TensorLock(0, tensor, ElementType.FLOAT32, (1, 8, 8), Step.ORDER,
                   fingerprint=fingerprint)
        for tensor in (first, second)
    ]  # fmt: skip
    payload = pack_lock(ModelLock(bytes(32), tuple(records)))
    with pytest.raises(WrongModelError):
        native.restore_buffer(bytearray(public), payload)
    with pytest.raises(WrongModelError):
        open_with_payload(public, payload)
