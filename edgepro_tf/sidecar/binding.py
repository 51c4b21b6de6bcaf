"""Which model file a sidecar belongs to."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import Literal

from edgepro_tf.errors import SidecarError, WrongModelError
from edgepro_tf.files import (
    PathOrBytes,
    check_path,
    check_regular,
    name_of,
    size_of,
)
from edgepro_tf.sidecar.encoding import short_model_id

ModelCheck = Literal["size", "full"]

MAX_MODEL_BYTES = 2**53 - 1  # The largest integer that every JSON reader keeps exact.
_MODEL_ID = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class ModelBinding:
    """The identity of one public model.

    Args:
        id: SHA-256 of the ``.tflite`` file, 64 lower-case hexadecimal digits (what
            ``sha256sum`` prints).
        size_bytes: size of the file in bytes.

    Example:
        >>> binding = ModelBinding.of(b"the bytes of a model")
        >>> str(binding)
        '68d18a50… (20 bytes)'
    """

    id: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not _MODEL_ID.fullmatch(self.id):
            raise SidecarError(
                "cannot make a model binding: expected an id of 64 lower-case "
                "hexadecimal digits, got another.",
                "Use ModelBinding.of(model).",
            )
        if type(self.size_bytes) is not int or not (
            1 <= self.size_bytes <= MAX_MODEL_BYTES
        ):
            raise SidecarError(
                "cannot make a model binding: expected a size of at least 1 byte, "
                f"got size_bytes={self.size_bytes!r}.",
            )

    @classmethod
    def of(cls, model: PathOrBytes) -> ModelBinding:
        """Compute the binding of a model.

        Cost: reads and hashes the whole file, about 1 ms a megabyte.

        Raises:
            SidecarError: the file cannot be read, or is empty.
        """
        digest = hashlib.sha256()
        size_bytes = 0
        try:
            if isinstance(model, bytes | bytearray | memoryview):
                digest.update(model)
                size_bytes = size_of(model)
            else:
                check_regular(model)
                with open(model, "rb") as file:
                    while chunk := file.read(_CHUNK_BYTES):
                        digest.update(chunk)
                        size_bytes += len(chunk)
        except OSError as error:
            raise _unreadable(model, error) from error
        return cls(digest.hexdigest(), size_bytes)

    def __str__(self) -> str:
        return f"{short_model_id(self.id)} ({self.size_bytes:,} bytes)"


def check_model_size(
    binding: ModelBinding,
    model: PathOrBytes | ModelBinding,
    *,
    sidecar_name: str = "",
) -> None:
    """Check that a model has the size of the one bound; the file is not read.

    The native core checks a fingerprint of every protected constant anyway; this is
    the check that costs nothing.

    Raises:
        WrongModelError: it has another size.
    """
    if isinstance(model, ModelBinding):
        size_bytes = model.size_bytes
    else:
        try:
            if not isinstance(model, bytes | bytearray | memoryview):
                check_regular(model)
            size_bytes = size_of(model)
        except OSError as error:
            raise _unreadable(model, error) from error
    if size_bytes != binding.size_bytes:
        raise _wrong_model(binding, model, sidecar_name)


def check_model(
    binding: ModelBinding,
    model: PathOrBytes | ModelBinding,
    *,
    sidecar_name: str = "",
) -> None:
    """Check that a model is the very one bound.

    Cost: hashes the whole model unless a ModelBinding is given.

    Raises:
        WrongModelError: it is another.
    """
    check_model_size(binding, model, sidecar_name=sidecar_name)
    actual = model if isinstance(model, ModelBinding) else ModelBinding.of(model)
    if actual != binding:
        raise _wrong_model(binding, model, sidecar_name)


def _wrong_model(
    binding: ModelBinding, model: PathOrBytes | ModelBinding, sidecar_name: str
) -> WrongModelError:
    name = "" if isinstance(model, ModelBinding) else name_of(model)
    if isinstance(model, ModelBinding):
        got = str(model)
    else:  # An empty file has no binding.
        got = str(ModelBinding.of(model)) if size_of(model) else "empty"
    sidecar = f"sidecar {sidecar_name}" if sidecar_name else "the sidecar"
    return WrongModelError(
        f"cannot restore {name or 'the model'}: {sidecar} belongs to model {binding}, "
        f"this file is {got}.",
        "Ship the pair that one conversion wrote.",
    )


def _unreadable(model: PathOrBytes, error: OSError) -> SidecarError:
    reason = error.strerror or "the system refused"
    named = f"model {name_of(model)}".rstrip()  # The name of "." is empty.
    return SidecarError(f"cannot read {named}: {reason}.", check_path(model))
