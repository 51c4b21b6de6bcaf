"""Finding the constants of a flatbuffer, by operator and role."""

import numpy as np
import pytest

from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.schema import read_graph, read_model
from edgepro_tf.flatbuffer.views import Role
from edgepro_tf.locks import ElementType
from tests.crafted import Crafted, make_dense_chain, pack, unpack
from tests.flatbuffers import export_cached


def test_finds_filters_and_biases_with_their_channels() -> None:
    view = read_model(export_cached("mobile"))
    kinds = [operator.kind for operator in view.operators if operator.is_linear]
    assert kinds == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "FULLY_CONNECTED"]
    first, depthwise, _, head = [o for o in view.operators if o.is_linear]
    assert first.operands[0].view == (1, 6, 18)
    assert depthwise.operands[0].view == (9, 6, 1)
    assert head.operands[0].view == (1, 4, 8)
    assert [operand.role for operand in head.operands] == [Role.FILTER, Role.BIAS]


def test_first_and_head_are_the_ends_of_the_graph() -> None:
    operators = [o for o in read_model(export_cached("mobile")).operators]
    assert [o.is_first for o in operators if o.is_linear] == [True, False, False, False]
    assert [o.is_head for o in operators if o.is_linear] == [False, False, False, True]


def test_a_graph_has_the_same_ends() -> None:
    content = export_cached("mobile")
    nodes, operators = read_graph(content).nodes, read_model(content).operators
    found = {i: (n.is_first, n.is_head) for i, n in enumerate(nodes)}
    expected = {one.index: (one.is_first, one.is_head) for one in operators}
    assert found == {**dict.fromkeys(range(len(nodes)), (False, False)), **expected}


def test_spans_point_at_the_very_bytes() -> None:
    model = export_cached("mobile")
    constant = read_model(model).operators[0].operands[0].constant
    offset, size = constant.data
    elements = np.frombuffer(model[offset : offset + size], np.float32)
    np.testing.assert_array_equal(constant.read(model), elements)
    assert elements.std() > 0


def test_per_channel_scales_are_found() -> None:
    model = export_cached("mobile", "int8")
    constant = read_model(model).operators[0].operands[0].constant
    assert constant.element_type is ElementType.INT8
    scales = constant.read_scales(model)
    assert scales.shape == (6,) and np.all(scales > 0)


def test_float16_constants_are_found_behind_dequantize() -> None:
    view = read_model(export_cached("mobile", "float16"))
    types = {o.constant.element_type for op in view.operators for o in op.operands}
    assert types == {ElementType.FLOAT16}


@pytest.mark.parametrize("content", [b"", b"no model", b"\0\0\0\0TFL3" + b"\xff" * 64])
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ConversionError, match="cannot read model"):
        read_model(content)


@pytest.mark.parametrize("magic", [b"PK\3\4", b"LITERTLM"])
def test_an_archive_is_named(magic: bytes) -> None:
    words = r"got an archive of 16 bytes.*\.task and LiteRT-LM's \.litertlm"
    with pytest.raises(ConversionError, match=words):
        read_model(magic.ljust(16, b"\0"))


def test_a_file_without_buffers_is_not_damaged() -> None:
    model = unpack(make_dense_chain(Crafted.add_weights))
    for buffers in (None, []):
        model.buffers = buffers
        assert read_model(pack(model)).operators == ()


def test_a_buffer_that_is_not_there_is_damage() -> None:
    model = unpack(make_dense_chain(Crafted.add_weights))
    model.subgraphs[0].tensors[1].buffer = len(model.buffers)
    with pytest.raises(ConversionError, match="damaged"):
        read_model(pack(model))
