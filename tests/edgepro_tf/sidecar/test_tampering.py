"""What an attacker may do to a file, byte by byte and as someone who knows the form."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepro_tf.errors import (
    EdgeProError,
    SidecarError,
    SidecarFormatError,
    UntrustedSidecarError,
    WrongKeyError,
)
from edgepro_tf.sidecar import (
    ModelBinding,
    envelope,
    grant_sidecar,
    inspect_sidecar,
    jose,
)
from edgepro_tf.sidecar.encoding import (
    decode_base64url,
    encode_base64url,
    encode_json,
)
from tests.edgepro_tf.sidecar.crafting import (
    claims_of,
    content_of,
    forge,
    raw_deflate,
    reseal,
    sign_and_seal,
)
from tests.edgepro_tf.sidecar.material import (
    MODEL,
    PASSPHRASE,
    identity,
    issuer,
    open_,
    payload,
    seal,
)

SIDECAR = seal()
BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_every_byte_counts():
    """The subtlest change of each byte: to another letter of the same alphabet."""
    for position, byte in enumerate(SIDECAR):
        place = BASE64URL.find(byte)
        other = BASE64URL[(place + 1) % 64]
        changed = SIDECAR[:position] + bytes([other]) + SIDECAR[position + 1 :]
        with pytest.raises(SidecarError):
            open_(changed)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(SIDECAR) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(position, change):
    changed = bytearray(SIDECAR)
    changed[position] ^= change
    with pytest.raises(SidecarError):
        open_(bytes(changed))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_pieces_cut_out_or_doubled_are_refused(data):
    start = data.draw(st.integers(0, len(SIDECAR) - 1))
    end = data.draw(st.integers(start + 1, len(SIDECAR)))
    for changed in (
        SIDECAR[:start] + SIDECAR[end:],
        SIDECAR[:end] + SIDECAR[start:],
    ):
        with pytest.raises(SidecarError):
            open_(changed)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_else_is_refused(data):
    for call in (open_, inspect_sidecar):
        with pytest.raises(SidecarFormatError):
            call(data)
        with pytest.raises(SidecarFormatError):
            call(b"{" + data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.data(), _JSON)
def test_other_json_in_any_place_is_refused(data, value):
    members = json.loads(SIDECAR)
    entry = members["recipients"][0]
    places = [members, entry, entry["header"], entry["header"]["epk"]]
    place = data.draw(st.sampled_from(places))
    name = data.draw(st.sampled_from(sorted(place)) | st.text(max_size=4))
    if place.get(name) == value and type(place.get(name)) is type(value):
        return
    place[name] = value
    with pytest.raises(SidecarError):
        open_(json.dumps(members).encode())


def test_truncation_at_every_length():
    for size in range(1, len(SIDECAR)):
        with pytest.raises(SidecarFormatError, match=f"ends at byte {size:,}, in "):
            open_(SIDECAR[:size])


def test_a_changed_recipient_of_another_does_no_harm():
    members = json.loads(seal(identity(), identity("A256KW")))
    members["recipients"][1]["encrypted_key"] = encode_base64url(bytes(40))
    changed = json.dumps(members).encode()
    assert open_(changed).payload == payload()
    with pytest.raises(WrongKeyError, match="decryption failed"):
        open_(changed, identity=identity("A256KW"))


def test_resealed_alike_opens():
    assert open_(reseal(content_of(SIDECAR))).payload == payload()


def test_header_and_signed_model_must_agree():
    model = ModelBinding.of(b"another")
    header = json.loads(envelope.protected_header(model, zipped=True))
    with pytest.raises(UntrustedSidecarError, match="its header names model"):
        open_(reseal(content_of(SIDECAR), header), model=b"another")


@pytest.mark.parametrize(
    "changes",
    [
        {"crit": ["exp"], "exp": 0},
        {"enc": "A128GCM"},
        {"cty": "text/plain"},
        {"typ": "JWT"},
        {"p2c": 1},
    ],
)
def test_other_header_parameters_are_refused(changes):
    with pytest.raises((SidecarFormatError, jose.JWException)):
        open_(reseal(content_of(SIDECAR), **changes))


@pytest.mark.parametrize("version", [0, "1", None, True, 1.0])
def test_unknown_versions_are_refused(version):
    ours = json.loads(envelope.protected_header(ModelBinding.of(MODEL), zipped=True))[
        "edgepro"
    ]
    with pytest.raises(SidecarFormatError, match="damaged"):
        open_(reseal(content_of(SIDECAR), edgepro=ours | {"version": version}))


def test_newer_version_is_told_whatever_else_it_changes():
    protected = encode_base64url(encode_json({"edgepro": {"version": 2}}).encode())
    with pytest.raises(SidecarFormatError, match=r"version 1, got version=2\. Update"):
        open_(encode_json({"protected": protected, "new": 1}).encode())


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "EdDSA", "ES256"])
@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\1" * 64, b"\xff" * 63])
def test_forged_signatures_are_refused(alg, signature):
    with pytest.raises(UntrustedSidecarError, match=r"signature .* does not hold"):
        open_(reseal(forge(SIDECAR, {"alg": alg}, signature=signature)))


def test_signed_by_another_under_the_issuers_id():
    other = issuer(number=1)
    header = encode_json({"typ": "edgepro+jwt", "alg": "ES256", "kid": issuer().key_id})
    token = jose.sign(b"{}", key=other._jwk, alg="ES256", header=header)
    with pytest.raises(UntrustedSidecarError, match="does not hold"):
        open_(reseal(token.encode()))


@pytest.mark.parametrize("content", [b"x", b"..", b"a.b.c.d", b"\xff", b"e30.e30.e30"])
def test_unsigned_content_is_refused(content):
    with pytest.raises(SidecarFormatError, match="no signed lock"):
        open_(reseal(content))


def test_unknown_claims_are_ignored():
    assert (
        open_(sign_and_seal(claims_of(SIDECAR) | {"note": "hello"})).payload
        == payload()
    )


@pytest.mark.parametrize(
    "change",
    [
        {"lock": None},
        {"lock": "~"},
        {"lock": encode_base64url(b"not deflate data")},
        {"lock": raw_deflate(bytes(25 << 20))},
        {"lock": encode_base64url(decode_base64url(raw_deflate(b"a")) + b"b")},
        {"lock": raw_deflate(b"abcdefgh")[:4]},
        {"iat": "now"},
        {"exp": 1e9},
        {"exp": True},
        {"nbf": -1},
        {"exp": 10**13},
        {"aud": ["com.example.demo"]},
        {"jti": 7},
        {"model": "00"},
        {"size": 0},
    ],
)
def test_claims_of_other_types_are_refused(change):
    with pytest.raises(SidecarFormatError, match="not of this format"):
        open_(sign_and_seal(claims_of(SIDECAR) | change))


@pytest.mark.parametrize("claims", [b"", b"[]", b"{", b'{"a":1,"a":1}', b"\xff"])
def test_claims_that_are_no_json_are_refused(claims):
    with pytest.raises(SidecarFormatError, match="not of this format"):
        open_(sign_and_seal(claims))


def test_decompression_bombs_are_refused():
    with pytest.raises(WrongKeyError, match="decryption failed"):
        open_(reseal(bytes(2 << 20)))
    members = json.loads(SIDECAR)
    members["ciphertext"] = encode_base64url(bytes((64 << 10) + 1))
    with pytest.raises(SidecarFormatError):
        open_(json.dumps(members).encode())


@pytest.mark.parametrize("p2c", [0, 999, 1_000_001, 2**70, "210000", 210000.0, True])
def test_iterations_are_bounded(p2c):
    members = json.loads(seal(PASSPHRASE))
    members["recipients"][0]["header"]["p2c"] = p2c
    with pytest.raises(SidecarFormatError):
        open_(json.dumps(members).encode(), identity=PASSPHRASE)


@pytest.mark.parametrize("alg", ["dir", "RSA1_5", "A128KW", "ECDH-ES", "none", [], 1])
def test_algorithms_are_a_closed_list(alg):
    members = json.loads(SIDECAR)
    members["recipients"][0]["header"]["alg"] = alg
    with pytest.raises(SidecarFormatError):
        open_(json.dumps(members).encode())


def test_too_many_or_doubled_recipients_are_refused():
    members = json.loads(seal(PASSPHRASE))
    for count in (0, 5):
        changed = members | {"recipients": members["recipients"] * count}
        with pytest.raises(SidecarFormatError):
            open_(json.dumps(changed).encode())
    members = json.loads(SIDECAR)
    members["recipients"] *= 2
    with pytest.raises(SidecarFormatError):
        open_(json.dumps(members).encode())


def test_ephemeral_key_off_the_curve_is_refused():
    members = json.loads(SIDECAR)
    key = members["recipients"][0]["header"]["epk"]
    key["y"] = key["x"]
    with pytest.raises(WrongKeyError, match="decryption failed"):
        open_(json.dumps(members).encode())


def test_granting_is_as_careful():
    for position in range(0, len(SIDECAR), 37):
        changed = bytearray(SIDECAR)
        changed[position] ^= 1
        with pytest.raises(EdgeProError):
            grant_sidecar(
                bytes(changed),
                identity=identity(),
                recipients=[identity(number=1).recipient],
            )
