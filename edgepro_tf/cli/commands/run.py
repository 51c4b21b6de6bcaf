"""Run a public model with its sidecar.

With --dataset, prints the accuracy on the test set (R2 of a model that answers with
numbers), with the sidecar and without. With --input, feeds an array, or an .npz of one
for each input, and writes the outputs.

example:
  edgepro run shipped/digits.tflite --keys keys --dataset digits
  edgepro run shipped/digits.tflite --keys keys --input x.npy --output y.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepro_tf.cli import console, keyring
from edgepro_tf.cli.arrays import load_array, load_arrays, pack_arrays
from edgepro_tf.errors import EdgeProError, InterpreterError

if TYPE_CHECKING:
    from edgepro_tf.datasets import Dataset

_UNEVEN = 1.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument("model", type=Path, metavar="MODEL.tflite")
    parser.add_argument(
        "sidecar",
        type=Path,
        nargs="?",
        metavar="SIDECAR",
        help="default: MODEL.edgepro, beside the model",
    )
    job = parser.add_mutually_exclusive_group(required=True)
    job.add_argument(
        "--dataset",
        metavar="NAME",
        help="measure the accuracy on its test set; names: 'edgepro train --help'",
    )
    job.add_argument(
        "--input",
        type=Path,
        metavar="FILE",
        help=".npy array [count, ...], or one example without count; of several "
        "inputs, an .npz of such arrays by input name",
    )
    parser.add_argument(
        "--answers",
        metavar="NAME",
        help="of several outputs, the one that the labels of --dataset are for",
    )
    parser.add_argument(
        "--signature",
        metavar="NAME",
        help="which of several to run with --input; default: the first by alphabet",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.npz",
        help="where the outputs go, by name; default: printed",
    )
    parser.add_argument(
        "--runtime",
        choices=("litert", "tflite-runtime", "tensorflow"),
        help="default: the first one installed, in this order",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=None,
        metavar="N",
        help="CPU threads of the interpreter, 1 to 256; default: the runtime's own",
    )
    parser.add_argument(
        "--no_xnnpack",
        action="store_true",
        help="TFLite's own kernels instead of XNNPACK's",
    )
    keyring.add_opening_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Open the pair, feed it, print or write what it answers."""
    from edgepro_tf.files import check_targets
    from edgepro_tf.runtime import open_interpreter

    if args.answers is not None and not args.dataset:
        raise EdgeProError(
            "cannot run: expected --answers with --dataset alone, got it with --input.",
            "Leave it out: all outputs are given.",
        )
    for flag in ("output", "signature"):
        if getattr(args, flag) is not None and args.dataset:
            raise EdgeProError(
                f"cannot run: expected --{flag} with --input alone, got it with "
                "--dataset.",
                "Leave it out: the first signature's accuracies are printed.",
            )
    if args.output is not None:
        check_targets(args.output, makes_folders=True, remedy="remove it")
        if args.output.suffix != ".npz":
            raise EdgeProError(
                f"cannot write {args.output}: expected a name ending in .npz, which "
                "outputs are stored as, by name."
            )
    identity, issuer = keyring.find_identity(args), keyring.find_issuer_key(args)
    interpreter = open_interpreter(
        args.model,
        keyring.find_sidecar(args),
        identity=identity,
        issuer=issuer,
        audience=args.audience,
        runtime=args.runtime,
        num_threads=args.threads,
        use_xnnpack=not args.no_xnnpack,
        allocate=bool(args.dataset),  # An input array may have another size.
    )
    if args.dataset:
        _measure(args, interpreter)
    else:
        _answer(args, interpreter)


def _measure(args: argparse.Namespace, interpreter: object) -> None:
    from edgepro_tf.audit.scoring.accuracy import (
        fit_data,
        measure_accuracy,
        public_accuracy,
    )
    from edgepro_tf.audit.scoring.scores import are_numbers
    from edgepro_tf.datasets import load_dataset

    data = load_dataset(args.dataset)
    data = fit_data(args.model.name, interpreter, data, args.answers)
    console.warn_of_bytes(data)
    test = data.x_test, data.y_test, args.answers
    console.say(f"{len(data.x_test):,} test examples of {args.dataset}")
    is_r2 = are_numbers(data.y_test)
    name, chance = ("R2 ", "0.00%") if is_r2 else ("", _say_chance(data))
    console.say(f"with its sidecar:  {name}{measure_accuracy(interpreter, *test):.2%}")
    bare = public_accuracy(args.model.read_bytes(), *test)
    console.say(f"public file alone: {name}{bare:.2%} (chance {chance})")


def _say_chance(data: Dataset) -> str:
    """What a guess among all classes is worth and, if it is more, among uneven ones."""
    even = 1 / data.classes
    most = np.bincount(data.y_test.ravel()).max() / data.y_test.size
    uneven = f", always the most frequent label {most:.2%}"
    return f"{even:.2%}{uneven if most > _UNEVEN * even else ''}"


def _answer(args: argparse.Namespace, interpreter: object) -> None:
    from edgepro_tf.files import filling_folder, write_file
    from edgepro_tf.runtime.interpreters import call_runtime
    from edgepro_tf.runtime.running import (
        check_signature,
        ordered_details,
        run_model,
    )

    check_signature(args.model.name, interpreter, args.signature)
    details = ordered_details(interpreter, args.signature)
    sample = _read_sample(args.model.name, args.input, details)
    counts = _find_other_counts(sample, details)
    if counts:
        _check_state(args.model, *counts)
    try:
        outputs = call_runtime(
            run_model, interpreter, sample, args.signature, _task="run"
        )
    except InterpreterError as error:
        if counts is None:
            raise
        wanted, given = counts
        hint = f"The model takes {wanted} at a time, and got {given}."
        raise InterpreterError(error.problem, hint) from error
    for output, value in outputs.items():
        console.say(f"{output}  {value.dtype} {list(value.shape)}")
        if args.output is None:
            console.say(np.array2string(value, precision=4, threshold=50))
    if args.output is not None:
        with filling_folder(args.output.parent):
            write_file(args.output, pack_arrays(outputs))
        console.say(f"wrote {args.output}")


def _find_other_counts(
    sample: dict[str, np.ndarray], details: dict[str, dict[str, Any]]
) -> tuple[int, int] | None:
    """How many examples an input takes, and was given, where that is another number."""
    from edgepro_tf.runtime.running import signature_shape

    for name, detail in details.items():
        wanted, given = signature_shape(detail)[:1], sample[name].shape[:1]
        if wanted not in ((-1,), given):
            return *wanted, *given
    return None


def _check_state(model: Path, wanted: int, given: int) -> None:
    """Refuse another count than that of a model which keeps variables.

    They stay of the size that they were made in, and what is written into them does
    not: LiteRT 2.3 then writes past their end, and answers, aborts or never returns.
    """
    from edgepro_tf.flatbuffer.schema import read_model

    kinds = read_model(model.read_bytes()).operator_kinds
    if any("VAR_HANDLE" in graph for graph in kinds):
        raise EdgeProError(
            f"cannot feed {model.name}: expected {wanted} at a time, which is what the "
            f"model keeps its state of, got {given}.",
            "Feed them one after the other, to one interpreter in Python.",
        )


def _read_sample(
    model: str, path: Path, details: dict[str, dict[str, Any]]
) -> dict[str, np.ndarray]:
    """Arrays by input name, in the model's types; examples alone get their count."""
    from edgepro_tf.runtime.running import (
        check_shape,
        fits_shape,
        quantize_input,
        signature_shape,
    )

    if path.suffix == ".npz":
        given = load_arrays(path)
        if len(given) == len(details) == 1:
            given = dict(zip(details, given.values(), strict=True))
    elif len(details) > 1:
        raise EdgeProError(
            f"cannot feed {model}: expected an .npz with {', '.join(details)}, got "
            f"{path}.",
            "numpy.savez(path, **arrays) writes one.",
        )
    else:
        given = {name: load_array(path) for name in details}
    if given.keys() != details.keys():
        raise EdgeProError(
            f"cannot feed {model}: expected arrays {', '.join(details)}, got "
            f"{', '.join(given)}."
        )
    sample = {}
    for name, detail in details.items():
        values = given[name]
        shape = signature_shape(detail)
        if shape and fits_shape(shape[1:], values.shape):
            values = values[None]
        elif values.ndim == len(shape) - 1 and shape[-1] == 1:
            values = values[..., None]  # Images without their one channel.
        elif values.shape == (1,) and not shape:
            values = values[0, ...]
        check_shape(model, detail, values)
        sample[name] = quantize_input(values, detail)
    counts = {name: len(values) for name, values in sample.items() if values.ndim}
    if len(set(counts.values())) > 1:
        raise EdgeProError(
            f"cannot feed {model}: expected as many examples for each input, got "
            f"{', '.join(f'{count} of {name}' for name, count in counts.items())}."
        )
    return sample
