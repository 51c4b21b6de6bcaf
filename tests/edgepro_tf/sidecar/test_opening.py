import datetime
import os

import pytest

from edgepro_tf.errors import (
    ExpiredError,
    SidecarError,
    SidecarFormatError,
    UntrustedSidecarError,
    WrongKeyError,
    WrongModelError,
)
from edgepro_tf.sidecar import ModelBinding, Passphrase, check_model_size
from tests.edgepro_tf.sidecar.material import (
    DAY,
    MODEL,
    NOW,
    PASSPHRASE,
    identity,
    issuer,
    open_,
    payload,
    seal,
)

SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def pair(tmp_path):
    model, sidecar = tmp_path / "m.tflite", tmp_path / "m.edgepro"
    model.write_bytes(MODEL)
    sidecar.write_bytes(seal())
    return model, sidecar


def test_opens_files(pair):
    model, sidecar = pair
    assert open_(sidecar, model=model).payload == payload()
    assert open_(str(sidecar), model=ModelBinding.of(model)).payload == payload()
    assert open_(sidecar, model=None).payload == payload()


def test_readable_by_people():
    opened = open_(seal())
    assert str(opened) == (
        f"sidecar of model {ModelBinding.of(MODEL)}, signed by Example on 2026-05-31 "
        "12:00:00 UTC, for application com.example.demo, expires 2026-06-02 12:00:00 "
        "UTC"
    )


def test_other_keys(pair):
    stranger = identity(number=1)
    with pytest.raises(WrongKeyError) as caught:
        open_(pair[1], identity=stranger)
    assert caught.value.problem == (
        f"cannot open sidecar m.edgepro: it is sealed to key {identity().short_id}; "
        f"this identity is {stranger.short_id}."
    )
    with pytest.raises(WrongKeyError, match="a passphrase was given"):
        open_(pair[1], identity=PASSPHRASE)


def test_long_lists_of_recipients_are_cut():
    keys = [identity("A256KW", number) for number in range(12)]
    with pytest.raises(WrongKeyError, match=r"and 4 more and a passphrase; this"):
        open_(seal(*keys, PASSPHRASE))


def test_wrong_passphrase():
    with pytest.raises(WrongKeyError, match="decryption failed"):
        open_(seal(PASSPHRASE), identity=Passphrase("incorrect horse"))


def test_untrusted_issuer():
    other = issuer(number=1)
    with pytest.raises(UntrustedSidecarError) as caught:
        open_(seal(issuer=other))
    assert caught.value.problem == (
        f"cannot open sidecar: expected issuer {issuer().short_id}, it is signed by "
        f"{other.short_id}."
    )


@pytest.mark.parametrize(
    ("sealed", "named", "text"),
    [
        ("com.example.demo", "com.example.other", "expected audience 'com.example.ot"),
        ("com.example.demo", None, "for application 'com.example.demo', none was"),
        (None, "com.example.demo", "expected audience 'com.example.demo', it names n"),
    ],
)
def test_audience(sealed, named, text):
    with pytest.raises(UntrustedSidecarError, match=text):
        open_(seal(audience=sealed), audience=named)


def test_dates():
    sidecar = seal()
    start, end = NOW - DAY, NOW + DAY
    assert open_(sidecar, now=start).payload
    assert open_(sidecar, now=end - SECOND).payload
    with pytest.raises(ExpiredError, match="valid from 2026-05-31 12:00:00 UTC"):
        open_(sidecar, now=start - SECOND)
    with pytest.raises(ExpiredError, match="expired 2026-06-02 12:00:00 UTC"):
        open_(sidecar, now=end)
    assert open_(sidecar, now=start - SECOND, leeway_s=1).payload
    assert open_(sidecar, now=end, leeway_s=1).payload
    for leeway_s in (-1, float("nan"), float("inf")):
        with pytest.raises(SidecarError, match="leeway_s of 0 seconds or more"):
            open_(sidecar, now=end + DAY, leeway_s=leeway_s)
    with pytest.raises(ExpiredError):
        open_(sidecar, now=end + SECOND, leeway_s=1)
    with pytest.raises(SidecarError, match="now: expected a moment with a time zone"):
        open_(sidecar, now=datetime.datetime(2026, 6, 1))
    with pytest.raises(SidecarError, match=r"now: .* time zone, got a date"):
        open_(sidecar, now=datetime.date(2026, 6, 1))


def test_the_last_moment_of_9999_is_one():
    """Python's own largest moment, which a float of seconds rounds up."""
    last = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    sidecar = seal(expires=last)
    assert open_(sidecar).expires == last.replace(microsecond=0)
    with pytest.raises(ExpiredError, match="it is now 9999-12-31 23:59:59 UTC"):
        open_(sidecar, now=last)


def test_clock_is_asked():
    present = datetime.datetime.now(datetime.UTC)
    sidecar = seal(not_before=present - DAY, expires=present + DAY)
    assert open_(sidecar, now=None).payload
    with pytest.raises(ExpiredError):
        open_(seal(not_before=None, expires=present - DAY), now=None)


def test_wrong_model(pair):
    model, sidecar = pair
    wrong = MODEL.replace(b"public", b"secret")
    model.write_bytes(wrong)
    with pytest.raises(WrongModelError) as caught:
        open_(sidecar, model=model)
    assert str(caught.value) == (
        "cannot restore m.tflite: sidecar m.edgepro belongs to model "
        f"{ModelBinding.of(MODEL)}, this file is {ModelBinding.of(wrong)}. Ship the "
        "pair that one conversion wrote."
    )
    assert open_(sidecar, model=model, model_check="size").payload
    with pytest.raises(WrongModelError):
        open_(sidecar, model=wrong + b".", model_check="size")
    with pytest.raises(WrongModelError, match="this file is empty"):
        open_(sidecar, model=b"", model_check="size")


def test_size_check_does_not_read_the_model(pair):
    model, _ = pair
    model.chmod(0)
    check_model_size(ModelBinding.of(MODEL), model)
    with pytest.raises(SidecarError, match=r"model gone\.tflite: No such"):
        check_model_size(ModelBinding.of(MODEL), model.with_name("gone.tflite"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04", "expected JSON, got another beginning"),
        (b"\x1c\0\0\0TFL3", "expected JSON, got a TFLite model"),
        (b"[]", "another beginning"),
        (b'{"licences": []}', "expected a JWE, got other JSON"),
        (b'{"protected": "e30"}', "a foreign JWE"),
        (b'{"a": 1, "a": 2}', "a member stands twice"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "damaged: a number has too many digits"),
        (b'{"a":' + b"[" * 100_000, "damaged: nested too deeply|ends at byte"),
        (b'{"protected": "~"}', "its protected header is damaged"),
        (b'{"a" "b"}', "damaged at byte 5"),
    ],
)
def test_files_that_are_no_sidecars(data, text):
    with pytest.raises(SidecarFormatError, match=text):
        open_(data)


def test_missing_and_oversized_files(tmp_path):
    with pytest.raises(SidecarError, match=r"sidecar gone.edgepro: No such file"):
        open_(tmp_path / "gone.edgepro")
    large = tmp_path / "large.edgepro"
    with large.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(SidecarFormatError, match="at most 67,108,864 bytes"):
        open_(large)
    with pytest.raises(SidecarError, match="Is a directory"):
        open_(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes are POSIX")
def test_devices_and_pipes():
    with pytest.raises(SidecarFormatError, match="at most 67,108,864 bytes, got more"):
        open_("/dev/zero")
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb") as file:
        file.write(seal())
        file.close()
        assert open_(f"/dev/fd/{reading}").payload == payload()


@pytest.mark.parametrize("model_check", ["size", "full"])
def test_models_that_are_no_files(pair, model_check):
    folder = pair[0].parent
    for model, text in ((folder, "Is a directory"), ("/dev/zero", "Not a regular")):
        with pytest.raises(SidecarError, match=f"cannot read model .*: {text}"):
            open_(pair[1], model=model, model_check=model_check)
    words = r"cannot read model: Is a directory\. Check the path: \.$"
    with pytest.raises(SidecarError, match=words):
        open_(pair[1], model=".", model_check=model_check)


def test_wrong_kinds_of_arguments():
    with pytest.raises(SidecarError, match=r"Of an issuer give its .issuer_key"):
        open_(seal(), issuer=issuer())
    with pytest.raises(SidecarError, match=r"got a str\. Load one with load_issuer_k"):
        open_(seal(), issuer="issuer_key.jwk")
    with pytest.raises(SidecarError, match=r"got a str\. Load one with load_identity"):
        open_(seal(), identity="identity.jwk")
    with pytest.raises(SidecarError, match="an identity or a passphrase, got a Reci"):
        open_(seal(), identity=identity().recipient)
    with pytest.raises(SidecarError, match="model_check='none'"):
        open_(seal(), model_check="none")
