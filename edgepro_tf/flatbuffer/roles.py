"""What operators do with their inputs, by their names in TFLite's schema."""

from __future__ import annotations

from edgepro_tf.flatbuffer.views import Role

# Position among the operator's inputs, role, channel axis (negative from the end).
Operands = tuple[tuple[int, Role, int], ...]


def _filters(*positions: int) -> Operands:
    return tuple((position, Role.FILTER, 0) for position in positions)


def _biases(*positions: int) -> Operands:
    return tuple((position, Role.BIAS, 0) for position in positions)


_LSTM = (*_filters(*range(1, 9)), *_biases(*range(9, 16)), *_filters(16))
_TWO_LSTMS = (
    *_filters(*range(1, 9), 16, *range(18, 26), 33, *range(40, 48)),
    *_biases(*range(9, 16), 17, *range(26, 33), 34),
)
# Whose inputs are weights; the last one is a custom operator that LiteRT has.
LINEAR: dict[str, Operands] = {
    "CONV_2D": _filters(1) + _biases(2),
    "DEPTHWISE_CONV_2D": ((1, Role.FILTER, -1), *_biases(2)),
    "FULLY_CONNECTED": _filters(1) + _biases(2),
    "TRANSPOSE_CONV": _filters(1) + _biases(3),
    "CONV_3D": ((1, Role.FILTER, -1), *_biases(2)),
    "CONV_3D_TRANSPOSE": ((1, Role.FILTER, -2), *_biases(3)),
    "BATCH_MATMUL": ((0, Role.FILTER, -1), (1, Role.FILTER, -1)),
    # An embedding's rows are its vocabulary.
    "GATHER": _filters(0),
    "GATHER_ND": _filters(0),
    "EMBEDDING_LOOKUP": _filters(1),
    "SVDF": _filters(1, 2) + _biases(3),
    "RNN": _filters(1, 2) + _biases(3),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _filters(1, 2) + _biases(3),
    "LSTM": _LSTM + _biases(17),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM + _biases(17, *range(20, 24)),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _TWO_LSTMS,
    "Convolution2DTransposeBias": _filters(1) + _biases(2),
}
# Their output is their constant input in another form.
PASSES_CONSTANTS = ("DEQUANTIZE", "DENSIFY")
MAKES_REAL = ("CAST", "BITCAST")  # Likewise, where it is one of floats.
# They pick rows of a table: positions of the table and of the rows' numbers. SELECT's
# has two rows, and ONE_HOT's is the identity, times its third input.
PICKS = {
    "GATHER": ((0,), 1),
    "GATHER_ND": ((0,), 1),
    "STABLEHLO_GATHER": ((0,), 1),
    "EMBEDDING_LOOKUP": ((1,), 0),
    "ONE_HOT": ((2,), 0),
    "SELECT": ((1, 2), 0),
    "SELECT_V2": ((1, 2), 0),
}
PICKS_BY_PLACE = ("GATHER_ND", "STABLEHLO_GATHER")  # A number for each axis.
# Operators that do without many of their inputs, or that alone know which.
_SPARING = ("LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "COMPOSITE", "CUSTOM")
RESHAPES = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
# Their output has the channels of their input, last, or a multiple or fraction of them.
KEEPS_CHANNELS = (*RESHAPES, "BATCH_TO_SPACE_ND")
MOVES_ELEMENTS = (*RESHAPES, "TRANSPOSE", "SLICE", "STRIDED_SLICE")
# They give integers on as they are, or in other places: position of these.
KEEPS_INTEGERS = {
    **dict.fromkeys(("CAST", "GATHER", "GATHER_ND", *MOVES_ELEMENTS), 0),
    **dict.fromkeys(("ABS", "BROADCAST_TO", "NEG", "PAD", "REVERSE_V2"), 0),
    **dict.fromkeys(("SPLIT_V", "SUM", "TILE", "UNPACK"), 0),
    "EMBEDDING_LOOKUP": 1,
    "SPLIT": 1,
}
# They make integers, or truth values, of all of their inputs.
JOINS_INTEGERS = (
    "ADD", "BITWISE_XOR", "CONCATENATION", "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD",
    "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "MAXIMUM", "MINIMUM", "MUL",
    "NOT_EQUAL", "PACK", "RIGHT_SHIFT", "SELECT", "SELECT_V2", "SUB",
)  # fmt: skip
READS_SHAPE = ("SHAPE", "RANK")
# Stands behind a subgraph's operators: it reads what these give, which may be weights
# themselves, of a branch, a loop's body, or a signature that answers with them; and
# whatever none of them reads.
RETURN = "RETURN"
# Custom operators of these names are TensorFlow's own (Select TF), and compute with
# floats as any other.
SELECTED = "Flex"
# What these compute from a shape alone is a shape again, even from floats: x * 2.0.
COMPUTES_SHAPE = frozenset(
    {
        "ADD", "CAST", "CEIL", "CONCATENATION", "DIV", "EXPAND_DIMS", "FLOOR",
        "FLOOR_DIV", "GATHER", "MAXIMUM", "MINIMUM", "MUL", "PACK", "REDUCE_PROD",
        "RESHAPE", "ROUND", "SLICE", "SQUEEZE", "STRIDED_SLICE", "SUB",
    }
)  # fmt: skip


def find_operands(kind: str, input_count: int) -> Operands:
    """The inputs of an operator that may be weights.

    Any constant of an operator that is not linear (an unfused normalisation, a PReLU,
    a loop's start) may be one, and is treated like a bias; what a linear one is fed may
    be one, too: a template that is sought in the input.
    """
    if kind == "CUSTOM":  # Whose constants mean anything.
        return ()
    listed = tuple(each for each in LINEAR.get(kind, ()) if each[0] < input_count)
    role = Role.FILTER if kind in LINEAR else Role.BIAS
    others = set(range(input_count)) - {position for position, *_ in listed}
    return listed + tuple((each, role, -1) for each in sorted(others))


def is_listed(kind: str, position: int) -> bool:
    """Whether this input of a linear operator is its weights, integers or not."""
    return any(position == each for each, *_ in LINEAR.get(kind, ()))


def may_lack(kind: str, position: int) -> bool:
    """Whether an operator does without this input, which the file then has as -1."""
    listed = LINEAR.get(kind, ())
    is_bias = any(position == each and role is Role.BIAS for each, role, _ in listed)
    return is_bias or kind.endswith(_SPARING) or kind.startswith(SELECTED)
