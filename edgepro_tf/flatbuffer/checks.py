"""What a file must hold lest a runtime ends the process over it.

A runtime's verifier sees that a file's offsets point into it. The numbers that it finds
there, of tensors and subgraphs, many runtimes and their kernels believe.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.flow import Call, TensorKind
from edgepro_tf.flatbuffer.number_formats import find_blocks
from edgepro_tf.flatbuffer.roles import may_lack
from edgepro_tf.flatbuffer.views import Constant

_INT8 = 9  # TensorType of the schema.
# Zero points that a quantised tensor can have, by its type.
_ZERO_POINTS = {
    3: (0, 255), 7: (-(2**15), 2**15 - 1), _INT8: (-128, 127), 17: (-8, 7)
}  # fmt: skip
_STATE_OF_SVDF = 4  # Its position among the inputs.


def check_signatures(model: Any) -> None:
    """Refuse a signature of tensors that the file does not have.

    Raises:
        ValueError: it is so.
    """
    for number in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(number)
        if signature.SubgraphIndex() >= model.SubgraphsLength():
            raise ValueError("a signature without a subgraph")
        count = model.Subgraphs(signature.SubgraphIndex()).TensorsLength()
        named = [
            *map(signature.Inputs, range(signature.InputsLength())),
            *map(signature.Outputs, range(signature.OutputsLength())),
        ]
        if any(each.TensorIndex() >= count for each in named):
            raise ValueError("a signature without a tensor")


def check_calls(count: int, fed: Sequence[int], calls: Sequence[Call]) -> None:
    """Refuse operators of tensors that their subgraph does not have.

    Args:
        count: how many it has.
        fed: those that it is given.
        calls: its operators. An absent input is -1, where the operator allows it.

    Raises:
        ValueError: it is so.
    """
    if not all(0 <= tensor < count for tensor in fed):
        raise ValueError("a subgraph without an input")
    for name, inputs, outputs in calls:
        for position, tensor in enumerate(inputs):
            is_absent = tensor == -1 and may_lack(name, position)
            if not (is_absent or 0 <= tensor < count):
                raise ValueError(f"{name} without its input {position}")
        if not all(0 <= tensor < count for tensor in outputs):
            raise ValueError(f"{name} without an output")


def is_for_micro(calls: Sequence[Call], kinds: Sequence[TensorKind]) -> bool:
    """Whether TFLite Micro alone runs it: an SVDF there may keep its state in int8.

    TFLite's own writes int16 into it, past its end.
    """
    return any(
        call.name == "SVDF" and kinds[call.inputs[_STATE_OF_SVDF]].type == _INT8
        for call in calls
    )


def check_tensors(
    schema: ModuleType, graph: Any, constants: Sequence[Constant | None]
) -> None:
    """Refuse shapes and scales that no tensor has.

    Args:
        schema: the generated module.
        graph: the subgraph.
        constants: by tensor number.

    Raises:
        ValueError: it is so.
    """
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        if tensor.ShapeSignatureLength() not in (0, tensor.ShapeLength()):
            raise ValueError("a shape of other axes than its signature")
        if (quantization := tensor.Quantization()) is not None:
            _check_scales(tensor.Type(), quantization)
        blocks: Any = find_blocks(schema, tensor)
        if type(blocks).__name__ == "BlockwiseQuantization":
            scales = blocks.Scales()
            if blocks.BlockSize() < 1 or scales < 0 or constants[scales] is None:
                raise ValueError("blocks without scales")


def check_fed(inputs: Sequence[int], constants: Sequence[Constant | None]) -> None:
    """Refuse a constant that is an input: a runtime would write into the file.

    Raises:
        ConversionError: it is so.
    """
    for tensor in inputs:
        constant = constants[tensor]
        if constant is not None:
            raise ConversionError(
                "cannot lock model: expected inputs that the app feeds, got input "
                f"{constant.name!r}, which is a constant.",
                "Layers that keep a state make such files in int16x8: convert them in "
                "another number format. Otherwise take it out of the file's inputs.",
            )


def check_inside(tensor: Any) -> None:
    """Refuse a tensor whose data are in a file beside the model: no lock reaches it.

    Raises:
        ConversionError: it is so.
    """
    # Schemas before LiteRT's of 2.3 know of no such files.
    if getattr(tensor, "ExternalBuffer", int)():
        name = (tensor.Name() or b"").decode("utf-8", "replace")
        raise ConversionError(
            "cannot read model: expected constants in the file itself, got those of "
            f"{name!r} in another file.",
            "Export it with its weights inside.",
        )


def _check_scales(type_: int, quantization: Any) -> None:
    least, greatest = _ZERO_POINTS.get(type_, (-np.inf, np.inf))
    points = np.atleast_1d(quantization.ZeroPointAsNumpy())
    if np.any(points < least) or np.any(points > greatest):
        raise ValueError("a zero point beyond its type")
    scales = np.atleast_1d(quantization.ScaleAsNumpy())
    if scales.size == 1 and scales[0] < 0:  # Some channels of MCUNet's filters are so.
        raise ValueError("a scale below 0")
