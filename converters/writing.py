"""Write a protected pair, the public model and its sealed sidecar; read it again."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from converters.pipeline import ProtectedModel, read_content
from edgepro_tf.errors import ConversionError
from edgepro_tf.files import PUBLIC_MODE, check_targets, filling_folder, write_files
from edgepro_tf.sidecar import (
    Identity,
    Issuer,
    IssuerKey,
    ModelBinding,
    Passphrase,
    Recipient,
    reopen_sidecar,
    seal_sidecar,
)

SIDECAR_SUFFIX = ".edgepro"


@dataclasses.dataclass(frozen=True)
class WrittenPair:
    """Where a pair was written, and how large its files are, in bytes."""

    model_path: Path
    sidecar_path: Path
    model_bytes: int
    sidecar_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.model_path} ({self.model_bytes:,} bytes, ships as it is)\n"
            f"{self.sidecar_path} ({self.sidecar_bytes:,} bytes, opens it)"
        )


def write_pair(
    protected: ProtectedModel,
    model_path: str | os.PathLike[str],
    *,
    recipients: Sequence[Recipient | Passphrase],
    issuer: Issuer,
    audience: str | None = None,
    expires: datetime.datetime | None = None,
    overwrite: bool = False,
) -> WrittenPair:
    """Seal the lock and write both files, the sidecar beside the model.

    Args:
        protected: from ``convert_keras`` or ``lock_tflite``.
        model_path: for ``name.tflite``, the sidecar is ``name.edgepro``.
        recipients: whose identities will open it.
        issuer: who signs it.
        audience: the application id it is for.
        expires: from when on it does not open; aware of its time zone.
        overwrite: whether existing files may be replaced.

    Raises:
        ConversionError: it is no protected model; its name is none, or the sidecar's.
        OutputExistsError: a file exists; neither is written.
        SidecarError: the sidecar cannot be sealed; neither is written.
        EdgeProError: the system refused; neither is written.
    """
    if not isinstance(protected, ProtectedModel):
        raise ConversionError(
            "cannot write pair: expected a ProtectedModel, got a "
            f"{type(protected).__name__}.",
            "Make one with convert_keras or lock_tflite.",
        )
    model_path = Path(model_path)
    if not model_path.name or model_path.suffix == SIDECAR_SUFFIX:
        raise ConversionError(
            f"cannot write {model_path}: expected a model's name, such as "
            "name.tflite, whose sidecar goes beside it as name.edgepro."
        )
    sidecar_path = model_path.with_suffix(SIDECAR_SUFFIX)
    check_targets(model_path, sidecar_path, overwrite=overwrite, makes_folders=True)
    sidecar = seal_sidecar(
        protected.payload,
        model=ModelBinding.of(protected.public),
        recipients=recipients,
        issuer=issuer,
        audience=audience,
        expires=expires,
    )
    files = {
        sidecar_path: (sidecar, PUBLIC_MODE),
        model_path: (protected.public, PUBLIC_MODE),
    }
    with filling_folder(model_path.parent):
        write_files(files, overwrite=overwrite)
    return WrittenPair(model_path, sidecar_path, len(protected.public), len(sidecar))


@dataclasses.dataclass(frozen=True)
class ShippedPair:
    """A pair that was written before, opened; for ``update_of``.

    Args:
        public: the public ``.tflite``.
        payload: the lock; a secret.
    """

    public: bytes = dataclasses.field(repr=False)
    payload: bytes = dataclasses.field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle an opened pair: read it from its files instead")


def read_pair(
    model_path: str | os.PathLike[str],
    *,
    identity: Identity | Passphrase,
    issuer: IssuerKey,
) -> ShippedPair:
    """Open a pair that ``write_pair`` wrote.

    Expired or not, and whatever application it is for: date and audience bind the app,
    and what replaces the version may have others.

    Args:
        model_path: the public model; the sidecar is beside it.
        identity: the private key (or passphrase) that opens the sidecar.
        issuer: the public key of who must have signed it.

    Raises:
        ConversionError: the model cannot be read.
        SidecarError: the sidecar does not open; its subclasses say why.
        WrongModelError: it belongs to another model.
    """
    model_path = Path(model_path)
    public = read_content(model_path)
    opened = reopen_sidecar(
        model_path.with_suffix(SIDECAR_SUFFIX),
        identity=identity,
        issuer=issuer,
        model=public,
    )
    return ShippedPair(public, opened.payload)
