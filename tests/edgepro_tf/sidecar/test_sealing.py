import datetime
import itertools
import json

import pytest

from edgepro_tf.errors import PayloadError, SidecarError
from edgepro_tf.sidecar import ModelBinding, Passphrase, seal_sidecar
from edgepro_tf.sidecar.encoding import decode_base64url
from tests.edgepro_tf.sidecar.material import (
    DAY,
    MODEL,
    NOW,
    PASSPHRASE,
    identity,
    issuer,
    name_kind,
    open_,
    payload,
    seal,
)

OPENERS = [identity("P-256"), identity("RSA-3072"), identity("A256KW"), PASSPHRASE]


@pytest.mark.parametrize("opener", OPENERS, ids=name_kind)
@pytest.mark.parametrize("issuer_kind", ["ES256", "EdDSA"])
def test_each_recipient_opens(opener, issuer_kind):
    signer = issuer(issuer_kind)
    sidecar = seal(opener, issuer=signer)
    opened = open_(sidecar, identity=opener, issuer=signer.issuer_key)
    assert opened.payload == payload()
    assert opened.model == ModelBinding.of(MODEL)
    assert (opened.not_before, opened.expires) == (NOW - DAY, NOW + DAY)
    assert (opened.issuer_name, opened.audience) == ("Example", "com.example.demo")
    assert opened.issued_at == NOW - DAY
    assert opened.issuer_key_id == signer.key_id


@pytest.mark.parametrize(
    "pair", list(itertools.permutations(OPENERS, 2)), ids=name_kind
)
def test_recipients_mix(pair):
    sidecar = seal(*pair)
    assert all(open_(sidecar, identity=each).payload == payload() for each in pair)


def test_many_recipients_and_passphrases():
    keys = [identity("A256KW", number) for number in range(20)]
    phrases = [Passphrase(f"passphrase number {number}") for number in range(3)]
    sidecar = seal(*keys, *phrases)
    assert open_(sidecar, identity=keys[-1]).payload == payload()
    assert open_(sidecar, identity=phrases[-1]).payload == payload()


def test_optional_claims_may_be_left_out():
    sidecar = seal(audience=None, issuer_name=None, not_before=None, expires=None)
    opened = open_(sidecar, audience=None)
    assert (opened.audience, opened.issuer_name) == (None, None)
    assert (opened.not_before, opened.expires) == (None, None)
    assert "never expires" in str(opened)


def test_one_recipient_given_twice_counts_once():
    phrases = [Passphrase("the same eight words") for _ in range(2)]
    sidecar = seal(identity(), identity(), *phrases)
    assert len(json.loads(sidecar)["recipients"]) == 2


def test_each_sealing_is_fresh():
    first, second = (json.loads(seal()) for _ in range(2))
    for name in ("iv", "ciphertext", "tag"):
        assert first[name] != second[name]
    assert first["recipients"] != second["recipients"]


def test_form_is_a_general_jwe_with_a_readable_model():
    members = json.loads(seal())
    header = json.loads(decode_base64url(members["protected"]))
    model = ModelBinding.of(MODEL)
    assert header == {
        "typ": "edgepro",
        "cty": "JWT",
        "enc": "A256GCM",
        "zip": "DEF",
        "edgepro": {"version": 1, "model": model.id, "size": model.size_bytes},
    }
    assert [entry["header"]["alg"] for entry in members["recipients"]] == [
        "ECDH-ES+A256KW"
    ]


@pytest.mark.parametrize("whole", [60_000, 500_000, 2_000_000])
def test_large_payloads(whole):
    sidecar = seal(payload=payload(whole=whole))
    assert open_(sidecar).payload == payload(whole=whole)
    assert len(sidecar) < 2.4 * whole + 3000  # 16/9 claims and JWS, 4/3 ciphertext.


@pytest.mark.parametrize("neurons", [0, 6])
@pytest.mark.parametrize("tensors", [2, 10, 60, 240])
def test_size_bar(tensors, neurons):
    """At most 2 KB + 16 bytes a tensor + 8 bytes an authorization neuron."""
    locked = neurons * (tensors // 2)  # Filter and bias are one layer's.
    for seed in range(5):
        sidecar = seal(payload=payload(tensors=tensors, neurons=neurons, seed=seed))
        assert len(sidecar) <= 2048 + 16 * tensors + 8 * locked


@pytest.mark.parametrize("data", [b"", b"EPL1", payload()[:-1], payload() + b"\0"])
def test_payload_that_cannot_be_read_is_refused(data):
    with pytest.raises(PayloadError, match="cannot seal sidecar"):
        seal(payload=data)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"recipients": []}, "1 to 1,024 recipients"),
        ({"recipients": [identity()]}, "Of an identity give its .recipient"),
        (
            {"recipients": [Passphrase(f"passphrase {n}") for n in range(5)]},
            "at most 4 of them passphrases",
        ),
        ({"expires": NOW - 2 * DAY}, "not_before earlier than expires"),
        ({"expires": datetime.datetime(2030, 1, 1)}, "expires: .* a time zone"),
        ({"payload": bytes(25 << 20)}, "at most 25,165,824 bytes"),
    ],
)
def test_arguments_out_of_range_are_refused(changes, text):
    with pytest.raises(SidecarError, match=text):
        seal(**changes)


@pytest.mark.parametrize(
    ("model_id", "size"), [("", 1), ("AB" * 32, 1), ("ab" * 32, 0), ("ab" * 32, True)]
)
def test_binding_out_of_range_is_refused(model_id, size):
    with pytest.raises(SidecarError, match="cannot make a model binding"):
        ModelBinding(model_id, size)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model": None}, "expected a model binding, got a NoneType"),
        ({"issuer": issuer().issuer_key}, "expected an issuer, got a IssuerKey"),
        ({"issuer": "keys/issuer.jwk"}, "got a str. Load one with load_issuer"),
        ({"audience": 5}, "expected an audience of text, got a int"),
        ({"issuer_name": b"x"}, "expected an issuer name of text, got a bytes"),
        ({"recipients": identity().recipient}, r"a list of recipients, got a Recip"),
        ({"recipients": ["a.jwk"]}, r"recipients, got a str.*load_recipient\(path\)"),
        ({"expires": datetime.date(2030, 1, 1)}, "expires: .* time zone, got a date"),
        ({"not_before": 1_780_228_800}, "not_before: .* time zone, got a int"),
    ],
)
def test_wrong_kinds_of_arguments(changes, text):
    arguments = {
        "model": ModelBinding.of(MODEL),
        "recipients": [identity().recipient],
        "issuer": issuer(),
    }
    with pytest.raises(SidecarError, match=text):
        seal_sidecar(payload(), **arguments | changes)
