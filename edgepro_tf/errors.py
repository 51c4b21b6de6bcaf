"""Every way this library says no.

An error's text has two parts, ``problem`` (what could not be done, to what, which
rule was broken) and ``hint`` (the next step). No secret ever stands in either.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator


class EdgeProError(Exception):
    """Base of all errors of this library.

    Args:
        problem: what could not be done, and why; ends with a full stop.
        hint: what to do next; may be empty.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(f"{problem} {hint}".strip())
        self.problem = problem
        self.hint = hint


class LockError(EdgeProError, ValueError):
    """A lock cannot stand where or as it was asked for."""


class PayloadError(EdgeProError, ValueError):
    """Bytes are not a payload, or a payload of a version this library lacks."""


class SidecarError(EdgeProError, ValueError):
    """A sidecar cannot be sealed, granted or opened."""


class SidecarFormatError(SidecarError):
    """The file is not a sidecar, is damaged or cut short, or is of a newer format."""


class WrongKeyError(SidecarError):
    """No recipient of the sidecar matches the identity, or decryption failed."""


class UntrustedSidecarError(SidecarError):
    """The issuer's signature or the audience is not the expected one."""


class ExpiredError(SidecarError):
    """The sidecar is not valid yet, or no longer."""


class WrongModelError(EdgeProError, ValueError):
    """The sidecar belongs to another model file."""


class KeyFileError(EdgeProError, ValueError):
    """A key file cannot be read, is of the wrong kind, or lacks its private half."""


class DatasetError(EdgeProError, ValueError):
    """A data set is unknown, missing or not of the expected form."""


class ZooError(EdgeProError, ValueError):
    """A ready-made network is unknown, or does not fit the input."""


class ConversionError(EdgeProError, RuntimeError):
    """A model cannot be converted or split."""


class VerificationError(ConversionError):
    """The pair just made does not restore to the authorized model."""


class InterpreterError(EdgeProError, RuntimeError):
    """No usable TFLite runtime, or it refused the model or the delegate."""


class NativeError(EdgeProError, RuntimeError):
    """The native core is missing or reported a failure."""


class OutputExistsError(EdgeProError, ValueError):
    """A file would be overwritten without leave."""


@contextlib.contextmanager
def without_locals() -> Iterator[None]:
    """Let errors go without what the frames behind them held: keys, locks.

    What reports errors often shows local variables (Sentry, loguru, rich, pytest -l).
    """
    seen = {id(sys.exception())}  # The caller's, and not to be touched.
    try:
        yield
    except BaseException as error:
        behind: BaseException | None = error
        while behind is not None and id(behind) not in seen:  # Chains may be rings.
            seen.add(id(behind))
            traceback.clear_frames(behind.__traceback__)
            behind = behind.__context__
        raise
