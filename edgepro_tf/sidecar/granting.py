"""Grant a sidecar to further recipients."""

from __future__ import annotations

from collections.abc import Sequence

from edgepro_tf.errors import SidecarError
from edgepro_tf.files import PathOrBytes
from edgepro_tf.sidecar import jose
from edgepro_tf.sidecar.envelope import (
    MAX_PASSPHRASES,
    MAX_RECIPIENTS,
    describe,
    parse_envelope,
    read_sidecar,
    write_envelope,
)
from edgepro_tf.sidecar.sealing import SealTo, unusable_key, wrap_list
from edgepro_tf.sidecar.unsealing import OpenWith, unseal


def grant_sidecar(
    sidecar: PathOrBytes, *, identity: OpenWith, recipients: Sequence[SealTo]
) -> bytes:
    """Let further recipients open a sidecar.

    The content key is wrapped for them; the signed content, its dates, the protected
    header and the ciphertext stay byte for byte. Whoever can open can grant: he could
    pass on the lock itself as well. The issuer's signature is not judged here.

    Args:
        sidecar: the file, or its bytes.
        identity: of one who can open it.
        recipients: whom to add; one who already has it is left as he is.

    Returns:
        The new sidecar.

    Raises:
        WrongKeyError: the identity cannot open it.
        SidecarFormatError: it is no sidecar, is damaged, cut short, or newer.
        SidecarError: the file cannot be read, or gets too many recipients.
    """
    task = describe("grant", sidecar)
    envelope = parse_envelope(read_sidecar(sidecar, task), task)
    content = unseal(envelope, identity, task)
    present = {entry.key_id for entry in envelope.recipients} - {None}
    new = [each for each in wrap_list(recipients, task) if each.key_id not in present]
    total = len(envelope.recipients) + len(new)
    passphrases = sum(entry.key_id is None for entry in envelope.recipients)
    passphrases += sum(each.key_id is None for each in new)
    if total > MAX_RECIPIENTS or passphrases > MAX_PASSPHRASES:
        raise SidecarError(
            f"{task}: expected at most {MAX_RECIPIENTS:,} recipients, at most "
            f"{MAX_PASSPHRASES} of them passphrases, got {total:,} and {passphrases}."
        )
    members = envelope.members(envelope.recipients)
    try:
        members["recipients"] += content.wrap_for(new)
    except jose.JoseError:
        raise unusable_key(task) from None
    return write_envelope(members)
