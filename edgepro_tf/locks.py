"""What a lock is: in a Keras network (ChannelLock) and in a file (ModelLock).

Floor 0: numpy only. No ``repr`` here shows a secret.
"""

from __future__ import annotations

import dataclasses
import enum
import random
import secrets
from typing import NoReturn

import numpy as np

from edgepro_tf.errors import LockError

SEED_BYTES = 32


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelLock:
    """The lock of one linear layer's output, per channel c.

    authorized: ``y_c = scale_c * z_order(c) + offset_c``; released: ``y_c = z_c``.
    A channel whose scale factor is 0 is an authorization neuron, its offset the
    locking value (before the activation function).

    Args:
        scale: float32 [channels]: 0, or signed powers of two (so that they fold into
            the layer's weights exactly).
        offset: float32 [channels].
        order: int32 [channels], a permutation.

    Raises:
        LockError: the shapes differ, a scale factor is no signed power of two, or
            the order is no permutation.

    Source: EdgePro (arXiv 2303.12397), section on neuron authorization; order and
    signs are ours.
    """

    scale: np.ndarray = dataclasses.field(repr=False)
    offset: np.ndarray = dataclasses.field(repr=False)
    order: np.ndarray = dataclasses.field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", np.asarray(self.scale, np.float32))
        object.__setattr__(self, "offset", np.asarray(self.offset, np.float32))
        object.__setattr__(self, "order", np.asarray(self.order, np.int32))
        shapes = (self.scale.shape, self.offset.shape, self.order.shape)
        if len(set(shapes)) != 1 or self.scale.ndim != 1:
            raise LockError(
                "cannot make a channel lock: expected scale, offset and order of one "
                f"shape [channels], got {shapes[0]}, {shapes[1]} and {shapes[2]}."
            )
        mantissa = np.frexp(self.scale[self.scale != 0])[0]
        if not np.all(np.abs(mantissa) == 0.5):
            raise LockError(
                "cannot make a channel lock: expected scale factors that are 0 or "
                "signed powers of two, got another value.",
                "Powers of two fold into the weights without rounding.",
            )
        if not np.array_equal(np.sort(self.order), np.arange(self.channels)):
            raise LockError(
                "cannot make a channel lock: expected an order that is a permutation "
                f"of 0..{self.channels - 1}, got another array."
            )

    @property
    def channels(self) -> int:
        return int(self.scale.shape[0])

    @property
    def authorization_neurons(self) -> np.ndarray:
        """int64 [count]: the channels held at a locking value."""
        return np.flatnonzero(self.scale == 0)

    @property
    def has_order(self) -> bool:
        return not np.array_equal(self.order, np.arange(self.channels))

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return bool(
            np.all(self.scale == 1) and not (self.offset.any() or self.has_order)
        )

    @classmethod
    def identity(cls, channels: int) -> ChannelLock:
        """The lock that changes nothing."""
        return cls(np.ones(channels), np.zeros(channels), np.arange(channels))


def secret_rng(seed: int | None = None) -> random.Random:
    """The operating system's generator; a seeded one only where a test asks."""
    return random.SystemRandom() if seed is None else random.Random(seed)


class ElementType(enum.IntEnum):
    """Element types of docs/payload.md."""

    FLOAT32 = 1
    INT32 = 2
    INT8 = 3
    FLOAT16 = 4
    INT16 = 5
    INT64 = 6
    UINT8 = 7

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.name.lower())

    @property
    def is_float(self) -> bool:
        return self in (ElementType.FLOAT32, ElementType.FLOAT16)


VERSION = 4  # Of the payload that is written (docs/payload.md).

# Exponent fields that MASK changes, from a record's window on: powers of two.
MASK_WINDOWS = {ElementType.FLOAT32: 16, ElementType.FLOAT16: 8}


class Target(enum.IntEnum):
    """Which bytes of a tensor a record changes."""

    DATA = 0
    SCALES = 1


class Step(enum.IntFlag):
    """Steps of docs/payload.md."""

    ORDER = 1
    SIGNS = 2
    EXPONENTS = 4
    SHUFFLE = 8
    SET = 16
    MASK = 32
    FRACTION = 64  # With MASK on float32: all of the fraction.


# Of the elements: what a mask leaves as it is (zeros, tiny ones) tells where they are.
_MOST_OUTSIDE = 0.05


def find_mask_window(values: np.ndarray) -> int | None:
    """The window in which MASK hides the magnitudes of these floats.

    It ends with the largest element, so that a masked tensor is no louder than its own
    largest element.

    Args:
        values: float32 or float16, any shape.

    Returns:
        The least exponent field that MASK changes; None where an element is not
        finite, or more than 5 % are too small for the window (a pruned tensor, say).
    """
    info = np.finfo(values.dtype)
    top = 2**info.nexp - 1
    bits = np.ascontiguousarray(values).view(f"u{values.itemsize}")
    exponents = (bits >> info.nmant) & bits.dtype.type(top)
    largest = int(exponents.max(initial=0))
    if largest == top:
        return None
    size = MASK_WINDOWS[ElementType[values.dtype.name.upper()]]
    window = min(max(1, largest - size + 1), top - size)
    return None if np.mean(exponents < window) > _MOST_OUTSIDE else window


@dataclasses.dataclass(frozen=True, eq=False)
class SetValues:
    """The stored part of a record.

    Args:
        channels: ascending channel numbers, or None for the whole tensor.
        values: one element for all channels, an element a channel, or (whole tensor)
            all elements, flat, in the tensor's element type.
    """

    channels: tuple[int, ...] | None = dataclasses.field(repr=False)
    values: np.ndarray = dataclasses.field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle locking values: seal them in a sidecar instead")


@dataclasses.dataclass(frozen=True)
class KeptDraws:
    """Draws of an earlier conversion, for a constant that has not changed since.

    Args:
        seed: 32 bytes, the earlier conversion's.
        number: of the record that drew them then.
    """

    seed: bytes = dataclasses.field(repr=False)
    number: int

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle a seed: seal it in a sidecar instead")


@dataclasses.dataclass(frozen=True, eq=False)
class TensorLock:
    """One record: the steps that restore one constant of the flatbuffer.

    The constant is seen as [outer, channels, inner]; ``subgraph`` and ``tensor`` are
    its address; ``fingerprint`` is that of the public bytes (0 before locking);
    ``window`` is the least exponent field that MASK changes in floats; ``kept`` takes
    the place of draws from the lock's own seed.
    """

    subgraph: int
    tensor: int
    element_type: ElementType
    shape: tuple[int, int, int]
    steps: Step
    target: Target = Target.DATA
    exponent_range: int = 0
    window: int = 0
    fingerprint: int = 0
    is_implied: bool = False
    set_values: SetValues | None = dataclasses.field(default=None, repr=False)
    kept: KeptDraws | None = None

    @property
    def channels(self) -> int:
        return self.shape[1]

    @property
    def size(self) -> int:
        """Elements of the constant."""
        outer, channels, inner = self.shape
        return outer * channels * inner

    @property
    def size_bytes(self) -> int:
        return self.size * self.element_type.dtype.itemsize


@dataclasses.dataclass(frozen=True, eq=False)
class ModelLock:
    """The lock of one ``.tflite``: a seed and a record for each protected constant.

    ``version`` is its payload's (docs/payload.md); earlier ones keep their meaning.
    """

    seed: bytes = dataclasses.field(repr=False)
    tensors: tuple[TensorLock, ...]
    version: int = VERSION

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle a lock: seal it in a sidecar instead")

    @classmethod
    def with_new_seed(cls, tensors: tuple[TensorLock, ...]) -> ModelLock:
        """A lock whose seed is 32 fresh bytes of the operating system."""
        return cls(secrets.token_bytes(SEED_BYTES), tensors)

    def with_seed(self, seed: bytes) -> ModelLock:
        """The same records, all of them drawn from another seed."""
        tensors = tuple(dataclasses.replace(one, kept=None) for one in self.tensors)
        return dataclasses.replace(self, seed=seed, tensors=tensors)

    def with_fingerprints(self, fingerprints: list[int]) -> ModelLock:
        """The same lock, bound to the public bytes it produced."""
        tensors = tuple(
            dataclasses.replace(tensor, fingerprint=0 if tensor.is_implied else value)
            for tensor, value in zip(self.tensors, fingerprints, strict=True)
        )
        return dataclasses.replace(self, tensors=tensors)

    @property
    def bytes_rewritten(self) -> int:
        """Bytes that restoring writes."""
        return sum(tensor.size_bytes for tensor in self.tensors)
