"""Keys are made once, stay private, and open with their own passphrase."""

import os
import stat
from pathlib import Path

import pytest

from tests.edgepro_tf.cli.conftest import Edgepro, check_refusals, list_files
from tests.edgepro_tf.cli.test_bad_input import GRANT


def test_keys_are_made_once(folder: Path) -> None:
    from edgepro_tf.cli.keyring import find_or_make_keys
    from edgepro_tf.errors import OutputExistsError

    first = find_or_make_keys(Path("more/keys"))
    assert find_or_make_keys(Path("more/keys")) == first
    Path("more/keys/issuer.jwk").unlink()
    before = list_files()
    with pytest.raises(OutputExistsError):
        find_or_make_keys(Path("more/keys"))
    assert list_files() == before


def test_secrets_stay_private_and_unseen(
    folder: Path, edgepro: Edgepro, monkeypatch: pytest.MonkeyPatch
) -> None:
    umask = os.umask(0)
    try:
        assert edgepro("keygen", "--out", "open").code == 0
    finally:
        os.umask(umask)
    for path in Path("open").iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        is_public = path.name in ("recipient.jwk", "issuer_key.jwk")
        assert mode == (0o644 if is_public else 0o600)
    grant = [*GRANT, "--to", "keys/recipient.jwk"]
    passphrase = [a for a in grant if a not in ("--identity", "identity.jwk")]
    passphrase.append("--passphrase")
    hint = "edgepro: hint: Set it unseen: read -rs EDGEPRO_PASSPHRASE"
    assert hint in edgepro(*passphrase).err
    for wrong in ("not the phrase", "short", "\udcff\udcff\udcff not utf-8"):
        monkeypatch.setenv("EDGEPRO_PASSPHRASE", wrong)
        said = edgepro(*passphrase)
        assert said.code == 1 and wrong not in said.err and "Traceback" not in said.err
    Path("identity.jwk").chmod(0o644)
    said = edgepro(*grant)
    assert said.code == 0
    assert said.err == (
        "edgepro: warning: identity identity.jwk is secret but open to other users of "
        "this machine (mode 0644). Run: chmod 600 identity.jwk\n"
    )


def test_an_encrypted_key_opens_with_its_passphrase(
    folder: Path, edgepro: Edgepro, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgepro_tf.sidecar import load_identity, write_key

    identity = load_identity("identity.jwk")
    write_key(identity, "identity.pem", passphrase="open sesame")
    grant = [*GRANT, "--identity", "identity.pem", "--to", "keys/recipient.jwk"]
    check_refusals(edgepro, [(grant, "it is encrypted")])
    monkeypatch.setenv("EDGEPRO_KEY_PASSPHRASE", "open sesamo")
    check_refusals(edgepro, [(grant, "the passphrase is wrong")])
    monkeypatch.setenv("EDGEPRO_KEY_PASSPHRASE", "open sesame")
    assert edgepro(*grant).code == 0
