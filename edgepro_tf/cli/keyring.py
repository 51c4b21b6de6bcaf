"""Where the command line finds keys: one folder, or a flag for each."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from edgepro_tf.errors import EdgeProError, KeyFileError
from edgepro_tf.files import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    check_path,
    check_targets,
    filling_folder,
    write_files,
)
from edgepro_tf.sidecar import (
    Identity,
    Issuer,
    IssuerKey,
    OpenedSidecar,
    Passphrase,
    Recipient,
    export_key,
    generate_identity,
    generate_issuer,
    load_identity,
    load_issuer,
    load_issuer_key,
    load_recipient,
    open_sidecar,
)

IDENTITY_FILE = "identity.jwk"
RECIPIENT_FILE = "recipient.jwk"
ISSUER_FILE = "issuer.jwk"
ISSUER_KEY_FILE = "issuer_key.jwk"
PASSPHRASE_VARIABLE = "EDGEPRO_PASSPHRASE"
KEY_PASSPHRASE_VARIABLE = "EDGEPRO_KEY_PASSPHRASE"
_SET = f"set it unseen: read -rs {PASSPHRASE_VARIABLE}; export {PASSPHRASE_VARIABLE}"
_KEY_FILE = (
    f"JWK or PEM (an encrypted PEM's passphrase: variable {KEY_PASSPHRASE_VARIABLE})"
)


def find_or_make_keys(folder: Path) -> tuple[Identity, Issuer]:
    """The private keys of a folder; where it has none, new ones are written there.

    Raises:
        KeyFileError: a file there is no such key.
        OutputExistsError: the folder has some of the four files and not these two.
    """
    files = folder / IDENTITY_FILE, folder / ISSUER_FILE
    if all(file.exists() for file in files):
        return load_identity(files[0]), load_issuer(files[1])
    identity, issuer = generate_identity(), generate_issuer()
    write_keys(folder, identity, issuer)
    return identity, issuer


def write_keys(
    folder: Path, identity: Identity, issuer: Issuer
) -> dict[str, Identity | Recipient | Issuer | IssuerKey]:
    """Write both private keys and their public halves: all four files, or none.

    Returns:
        The keys by file name.

    Raises:
        OutputExistsError: one is there; keys are never overwritten.
    """
    keys = {
        IDENTITY_FILE: identity,
        RECIPIENT_FILE: identity.recipient,
        ISSUER_FILE: issuer,
        ISSUER_KEY_FILE: issuer.issuer_key,
    }
    contents = {}
    for name, key in keys.items():
        mode = PRIVATE_MODE if key.has_secret else PUBLIC_MODE
        contents[folder / name] = (export_key(key), mode)
    check_targets(*contents, makes_folders=True, remedy="take another folder")
    with filling_folder(folder):
        write_files(contents)
    return keys


def add_sealing_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of who seals, and for whom."""
    group = parser.add_argument_group("keys")
    group.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help=f"folder of 'edgepro keygen': {RECIPIENT_FILE} and {ISSUER_FILE} in it",
    )
    group.add_argument(
        "--recipient",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="public key of a device that shall open it, in place of that in --keys; "
        "may be given again",
    )
    group.add_argument(
        "--passphrase",
        action="store_true",
        help=f"also seal to the passphrase in the variable {PASSPHRASE_VARIABLE} "
        f"({_SET})",
    )
    group.add_argument(
        "--issuer",
        type=Path,
        metavar="FILE",
        help=f"private key that signs, {_KEY_FILE}",
    )


def add_opening_arguments(
    parser: argparse.ArgumentParser, *, verifies: bool = True
) -> None:
    """Flags of who opens, and (where the signature is judged) whom he trusts."""
    group = parser.add_argument_group("keys")
    files = f"{IDENTITY_FILE} and {ISSUER_KEY_FILE}" if verifies else IDENTITY_FILE
    group.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help=f"folder of 'edgepro keygen': {files} in it",
    )
    group.add_argument(
        "--identity",
        type=Path,
        metavar="FILE",
        help=f"private key that opens, {_KEY_FILE}",
    )
    group.add_argument(
        "--passphrase",
        action="store_true",
        help=f"open with the passphrase in the variable {PASSPHRASE_VARIABLE} ({_SET})",
    )
    if not verifies:
        return
    group.add_argument(
        "--issuer_key",
        type=Path,
        metavar="FILE",
        help="public key of who must have signed",
    )
    group.add_argument(
        "--audience", metavar="ID", help="application id the sidecar must be for"
    )


def find_recipients(args: argparse.Namespace) -> list[Recipient | Passphrase]:
    """The recipients that the flags name.

    Raises:
        KeyFileError: none, or a file is no recipient's.
    """
    paths = list(args.recipient)
    if not paths and args.keys:
        own = args.keys / RECIPIENT_FILE
        if own.exists() or not args.passphrase:
            paths = [own]
    recipients: list[Recipient | Passphrase] = [load_recipient(path) for path in paths]
    if args.passphrase:
        recipients.append(_passphrase())
    if not recipients:
        raise _missing("a recipient", "--keys, --recipient or --passphrase")
    return recipients


def find_issuer(args: argparse.Namespace) -> Issuer:
    """The issuer that the flags name.

    Raises:
        KeyFileError: none, or the file is no issuer's.
    """
    path = _path(args.issuer, args.keys, ISSUER_FILE, "--issuer")
    return load_issuer(path, passphrase=_key_passphrase())


def find_identity(args: argparse.Namespace) -> Identity | Passphrase:
    """The identity that the flags name.

    Raises:
        KeyFileError: none, or the file is no identity's.
    """
    if args.passphrase:
        return _passphrase()
    path = _path(args.identity, args.keys, IDENTITY_FILE, "--identity")
    return _load_identity(path)


def find_own_identity(args: argparse.Namespace) -> Identity | Passphrase:
    """What opens a pair that was sealed with the same flags.

    Raises:
        KeyFileError: none, or the file is no identity's.
    """
    own = args.keys and args.keys / IDENTITY_FILE
    is_sealed_to_own = own and own.exists() and not args.recipient
    if args.passphrase and not is_sealed_to_own:
        return _passphrase()
    if own:
        return _load_identity(own)
    raise _missing("an identity", "--keys or --passphrase")


def find_issuer_key(args: argparse.Namespace) -> IssuerKey:
    """The trusted issuer's public key that the flags name.

    Raises:
        KeyFileError: none, or the file is no issuer key.
    """
    return load_issuer_key(
        _path(args.issuer_key, args.keys, ISSUER_KEY_FILE, "--issuer_key")
    )


def sidecar_path(model: Path, sidecar: Path | None) -> Path:
    """The sidecar named, or the one beside the model."""
    return sidecar or model.parent / f"{model.stem}.edgepro"


def find_sidecar(args: argparse.Namespace) -> Path:
    """What ``args.sidecar`` names, or the one beside ``args.model``.

    Raises:
        EdgeProError: none is named, and there is no such model: its name is wrong, not
            that of a sidecar which nobody wrote.
    """
    if args.sidecar is None and not args.model.exists():
        raise EdgeProError(
            f"cannot read model {args.model}: No such file or directory.",
            check_path(args.model),
        )
    return sidecar_path(args.model, args.sidecar)


def open_for_run(args: argparse.Namespace) -> OpenedSidecar:
    """Open the sidecar that ``args.model`` and ``args.sidecar`` name.

    Raises:
        SidecarError: it does not open.
    """
    return open_sidecar(
        find_sidecar(args),
        identity=find_identity(args),
        issuer=find_issuer_key(args),
        audience=args.audience,
        model=args.model,
        model_check="full",
    )


def _load_identity(path: Path) -> Identity:
    return load_identity(path, passphrase=_key_passphrase())


def _key_passphrase() -> str | None:
    """Of key files that are encrypted."""
    return os.environ.get(KEY_PASSPHRASE_VARIABLE)


def _path(given: Path | None, folder: Path | None, name: str, flag: str) -> Path:
    if given is not None:
        return given
    if folder is not None:
        return folder / name
    raise _missing(name, f"--keys or {flag}")


def _passphrase() -> Passphrase:
    text = os.environ.get(PASSPHRASE_VARIABLE)
    if text is None:
        raise KeyFileError(
            f"cannot find a passphrase: expected the variable {PASSPHRASE_VARIABLE}, "
            "got none.",
            f"S{_SET[1:]}",
        )
    return Passphrase(text)


def _missing(what: str, where: str) -> KeyFileError:
    return KeyFileError(
        f"cannot find {what}: expected {where}, got none.",
        "Make keys with 'edgepro keygen --out keys'; a pair that is there opens with "
        "those that it was sealed with alone.",
    )
