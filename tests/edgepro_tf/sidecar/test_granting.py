import json

import pytest

from edgepro_tf.errors import SidecarError, WrongKeyError
from edgepro_tf.sidecar import Passphrase, grant_sidecar
from edgepro_tf.sidecar.envelope import write_envelope
from tests.edgepro_tf.sidecar.material import (
    PASSPHRASE,
    identity,
    name_kind,
    open_,
    payload,
    recipient_of,
    seal,
)

OPENERS = [
    identity(number=1),
    identity("RSA-3072", 1),
    identity("A256KW", 1),
    Passphrase("another passphrase"),
]


@pytest.mark.parametrize("owner", [identity(), PASSPHRASE], ids=name_kind)
@pytest.mark.parametrize("opener", OPENERS, ids=name_kind)
def test_granted_recipient_opens(owner, opener):
    sidecar = seal(owner)
    granted = grant_sidecar(sidecar, identity=owner, recipients=[recipient_of(opener)])
    assert open_(granted, identity=opener).payload == payload()
    assert open_(granted, identity=owner).payload == payload()
    before, after = json.loads(sidecar), json.loads(granted)
    assert after["recipients"][:-1] == before["recipients"]
    for name in ("protected", "iv", "ciphertext", "tag"):
        assert after[name] == before[name]


def test_grants_chain():
    sidecar = seal()
    sidecar = grant_sidecar(
        sidecar, identity=identity(), recipients=[OPENERS[0].recipient]
    )
    sidecar = grant_sidecar(
        sidecar, identity=OPENERS[0], recipients=[recipient_of(o) for o in OPENERS]
    )
    assert len(json.loads(sidecar)["recipients"]) == 5
    assert all(open_(sidecar, identity=opener).payload for opener in OPENERS)


def test_granting_again_mends_an_entry():
    """Nobody but its owner can tell that it was altered, and he need not ask why."""
    sidecar = seal(identity(), OPENERS[0])
    members = json.loads(sidecar)
    key = members["recipients"][1]["encrypted_key"]
    members["recipients"][1]["encrypted_key"] = key[3::-1] + key[4:]
    altered = write_envelope(members)
    with pytest.raises(WrongKeyError, match="decryption failed"):
        open_(altered, identity=OPENERS[0])
    for opener in (identity(), OPENERS[0]):
        altered = grant_sidecar(
            altered, identity=identity(), recipients=[opener.recipient]
        )
        assert len(json.loads(altered)["recipients"]) == 2
    assert open_(altered, identity=OPENERS[0]).payload == payload()
    assert open_(altered, identity=identity()).payload == payload()


def test_a_passphrase_is_not_recognised_in_a_file():
    once = seal(identity(), PASSPHRASE)
    twice = grant_sidecar(once, identity=identity(), recipients=[PASSPHRASE])
    assert len(json.loads(twice)["recipients"]) == 3


def test_stranger_cannot_grant():
    with pytest.raises(WrongKeyError, match="cannot grant sidecar: it is sealed to"):
        grant_sidecar(seal(), identity=OPENERS[0], recipients=[OPENERS[0].recipient])


def test_limits_hold():
    phrases = [Passphrase(f"passphrase {number}") for number in range(3)]
    with pytest.raises(SidecarError, match="got 6 and 5"):
        grant_sidecar(
            seal(identity(), PASSPHRASE, Passphrase("one more passphrase")),
            identity=identity(),
            recipients=phrases,
        )
    with pytest.raises(SidecarError, match="1 to 1,024 recipients"):
        grant_sidecar(seal(), identity=identity(), recipients=[])
