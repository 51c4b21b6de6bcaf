"""What `convert` and `lock` share: flags, samples, the version before, the report."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepro_tf.cli import console, keyring
from edgepro_tf.cli.arrays import load_array, load_arrays
from edgepro_tf.errors import ConversionError, SidecarError
from edgepro_tf.files import check_targets

if TYPE_CHECKING:
    import keras

    from converters import ProtectedModel, ShippedPair
    from edgepro_tf.sidecar import Issuer, Passphrase, Recipient

RECIPES = ("standard", "fast", "strict")
_A_SECOND = 1 / 86_400
_MOST_DAYS = 1_000_000  # The last year a date can have is 9999.


def add_pair_arguments(
    parser: argparse.ArgumentParser, *, recipes: Sequence[str] = RECIPES
) -> None:
    """Flags of the pair to write."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.tflite",
        help="the public model; its sidecar goes beside it as FILE.edgepro",
    )
    parser.add_argument(
        "--recipe",
        choices=recipes,
        default="standard",
        help="what is locked how, see 'edgepro convert --help'; default standard",
    )
    parser.add_argument(
        "--restore_budget",
        type=float,
        metavar="SHARE",
        help="share of the file's bytes that loading may rewrite, 0 to 1; in the "
        "place of the recipe's own rule, of fast also its 256 KB and first filters",
    )
    parser.add_argument(
        "--samples",
        metavar="FILE",
        help="real inputs to verify with, and to see that the public file answers as a "
        "guess would (convert: to calibrate with, too): an .npy array [count, ...], an "
        ".npz of arrays by input name, or a data set's name (see 'edgepro train')",
    )
    parser.add_argument(
        "--audience",
        metavar="ID",
        help="id of the only application that may open the sidecar; default: any",
    )
    parser.add_argument(
        "--expires_days", type=float, metavar="N", help="days until it stops opening"
    )
    parser.add_argument(
        "--update_of",
        type=Path,
        metavar="FILE.tflite",
        help="the public model that shipped before, beside its sidecar, which --keys "
        "opens: weights that have not changed since stay the same bytes, so that an "
        "update is small",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the files")


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse a bad name before the work, not after.

    Raises:
        ConversionError: the name has another suffix, or the budget is none.
        SidecarError: --expires_days is none.
        OutputExistsError: a file is there, and --force is not.
        EdgeProError: the system would refuse the name.
    """
    if args.out.suffix != ".tflite":
        raise ConversionError(
            f"cannot write {args.out}: expected a name ending in .tflite."
        )
    _find_expiry(args.expires_days)
    from converters.recipe import find_recipe

    find_recipe(args.recipe, restore_budget=args.restore_budget)
    written = (args.out, keyring.sidecar_path(args.out, None))
    for path in written:
        if _are_same(path, args.model):
            raise ConversionError(
                f"cannot write {path}: expected another file than the model itself, "
                "which has no copy.",
                "Choose another --out.",
            )
    check_targets(
        *written, overwrite=args.force, makes_folders=True, remedy="pass --force"
    )


def _are_same(path: Path, model: Path) -> bool:
    """Whether both are one file; what cannot be looked at is refused later."""
    try:
        return path.samefile(model)
    except OSError:
        return False


def _find_expiry(days: float | None) -> datetime.datetime | None:
    if days is None:
        return None
    if not _A_SECOND <= days <= _MOST_DAYS:
        raise SidecarError(
            "cannot seal sidecar: expected --expires_days from a second to "
            f"{_MOST_DAYS:,} days, got {days:g}.",
            "Leave it out for a sidecar that does not expire.",
        )
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


def read_samples(source: str | None) -> Any:
    """Real inputs from a file, or a ``Dataset``; None for none.

    Raises:
        EdgeProError: the file holds no arrays, or there is no such data set.
    """
    if source is None:
        return None
    path = Path(source)
    if path.suffix == ".npy":
        return load_array(path)
    if path.suffix == ".npz" and not source.startswith("npz:"):
        arrays = load_arrays(path)
        if not any(name.startswith("x_train") for name in arrays):
            return arrays
        source = f"npz:{source}"
    from edgepro_tf.datasets import load_dataset

    if path.is_file() and not source.startswith("npz:"):
        raise ConversionError(
            f"cannot read samples {source}: expected an .npy or .npz file, or the name "
            "of a data set, got another file.",
            "Write the inputs with numpy.save.",
        )
    return load_dataset(source)


def fit_samples(
    samples: Any, list_inputs: Callable[[], Mapping[str, tuple[int, bool]]]
) -> Any:
    """A data set's training samples as a model takes them; whatever else as it is.

    Args:
        samples: from ``read_samples``.
        list_inputs: of the model, asked for a data set alone, as for
            ``Dataset.fit_inputs``; none where the model does not say.

    Raises:
        ConversionError: the data set has inputs of other names.
    """
    from edgepro_tf.datasets import Dataset

    if not isinstance(samples, Dataset):
        return samples
    inputs = list_inputs()
    if inputs and (mismatch := samples.find_mismatch(inputs)):
        raise ConversionError(
            f"cannot feed model: {mismatch}.",
            "Store an array for each: x_train_NAME and x_test_NAME."
            if len(inputs) > 1
            else "Store x_train and x_test alone.",
        )
    if inputs:
        samples = samples.fit_inputs(inputs)
    console.warn_of_bytes(samples)
    return samples.x_train


def list_keras_inputs(model: keras.Model) -> dict[str, tuple[int, bool]]:
    """``list_inputs`` of a Keras model; empty of a subclassed one, which has none."""
    from edgepro_tf import locking

    tensors = getattr(locking.network_of(model), "inputs", None) or ()
    return {each.name: (len(each.shape), "int" in each.dtype) for each in tensors}


def read_before(
    args: argparse.Namespace,
    recipients: Sequence[Recipient | Passphrase],
    issuer: Issuer,
) -> ShippedPair | None:
    """The pair that ``--update_of`` names, opened; None for none.

    Devices that open it, and will not open the new one, are told of.

    Raises:
        EdgeProError: there is no such pair, or the keys do not open it.
    """
    if args.update_of is None:
        return None
    from converters import read_pair

    before = read_pair(
        args.update_of,
        identity=keyring.find_own_identity(args),
        issuer=issuer.issuer_key,
    )
    _warn_of_devices(keyring.sidecar_path(args.update_of, None), recipients)
    return before


def _warn_of_devices(
    sidecar: Path, recipients: Sequence[Recipient | Passphrase]
) -> None:
    from edgepro_tf.sidecar import inspect_sidecar

    sealed_to = {getattr(each, "key_id", None) for each in recipients}
    left_out = [
        str(each)
        for each in inspect_sidecar(sidecar).recipients
        if each.key_id not in sealed_to
    ]
    if left_out:
        console.report_warning(
            f"the version before is sealed to {', '.join(left_out)}, too; the update "
            "is not. Grant it to whom shall have it."
        )


def write_and_report(
    args: argparse.Namespace,
    protected: ProtectedModel,
    recipients: Sequence[Recipient | Passphrase],
    issuer: Issuer,
) -> None:
    """Seal, write, and say what was done."""
    from converters import write_pair

    written = write_pair(
        protected,
        args.out,
        recipients=recipients,
        issuer=issuer,
        audience=args.audience,
        expires=_find_expiry(args.expires_days),
        overwrite=args.force,
    )
    console.say(str(protected))
    if protected.keras_difference is not None:
        console.say(
            f"largest difference from Keras: {protected.keras_difference:.1e} of the "
            "largest output"
        )
    console.say(str(written))
