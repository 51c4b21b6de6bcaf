"""Say what a sidecar shows without a key."""

from __future__ import annotations

import dataclasses

from edgepro_tf.files import PathOrBytes
from edgepro_tf.sidecar.binding import ModelBinding
from edgepro_tf.sidecar.encoding import short_key_id
from edgepro_tf.sidecar.envelope import (
    VERSION,
    describe,
    parse_envelope,
    read_sidecar,
)


@dataclasses.dataclass(frozen=True)
class RecipientInfo:
    """One who can open it: key management algorithm, and key id unless a passphrase."""

    alg: str
    key_id: str | None

    def __str__(self) -> str:
        whom = f"key {short_key_id(self.key_id)}" if self.key_id else "a passphrase"
        return f"{whom} ({self.alg})"


@dataclasses.dataclass(frozen=True)
class SidecarInfo:
    """The readable part of a sidecar; true only once it has been opened."""

    model: ModelBinding
    format_version: int
    recipients: tuple[RecipientInfo, ...]
    size_bytes: int

    def __str__(self) -> str:
        lines = [
            f"sidecar of {self.size_bytes:,} bytes, format version "
            f"{self.format_version}",
            f"model {self.model.id}, {self.model.size_bytes:,} bytes",
            *(f"sealed to {recipient}" for recipient in self.recipients),
        ]
        return "\n".join(lines)


def inspect_sidecar(sidecar: PathOrBytes) -> SidecarInfo:
    """Read what stands in the clear: model, version, recipients.

    No key is needed, and so nothing is verified: use it to find the right key or
    model, and ``open_sidecar`` to trust.

    Raises:
        SidecarFormatError: it is no sidecar, is damaged, cut short, or newer.
        SidecarError: the file cannot be read.
    """
    task = describe("inspect", sidecar)
    data = read_sidecar(sidecar, task)
    envelope = parse_envelope(data, task)
    recipients = tuple(
        RecipientInfo(entry.alg, entry.key_id) for entry in envelope.recipients
    )
    return SidecarInfo(envelope.model, VERSION, recipients, len(data))
