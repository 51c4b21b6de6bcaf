"""Grant a sidecar to further recipients."""

from __future__ import annotations

from collections.abc import Sequence

from edgepro_tf.errors import without_locals
from edgepro_tf.files import PathOrBytes
from edgepro_tf.sidecar import jose
from edgepro_tf.sidecar.envelope import (
    describe,
    parse_envelope,
    read_sidecar,
    write_envelope,
)
from edgepro_tf.sidecar.sealing import SealTo, check_key_ids, unusable_key, wrap_list
from edgepro_tf.sidecar.unsealing import OpenWith, unseal


@without_locals()
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
        recipients: whom to add. For a key that has it already it is wrapped anew, since
            what stands there may have been altered. A passphrase cannot be recognised
            in a file, and takes a further place each time that it is granted.

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
    new = wrap_list(recipients, task)
    renewed = {each.key_id for each in new} - {None}
    kept = tuple(each for each in envelope.recipients if each.key_id not in renewed)
    left = [each.key_id for each in kept]
    check_key_ids([*left, *(each.key_id for each in new)], task)
    members = envelope.members(kept)
    try:
        members["recipients"] += content.wrap_for(new)
    except jose.JoseError:
        raise unusable_key(task) from None
    return write_envelope(members)
