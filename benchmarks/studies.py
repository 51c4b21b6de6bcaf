"""What the studies share: data, training, results kept cell by cell, a table."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from edgepro_tf.cli.training_job import LEARNING_RATE, falling_adam
from edgepro_tf.datasets import Dataset, load_dataset
from edgepro_tf.files import write_file

if TYPE_CHECKING:
    import keras

    from edgepro_tf.audit.attack import Outcome
    from edgepro_tf.audit.target import Target
    from edgepro_tf.audit.workbench.bench import Bench

Cell = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser, *, out: str) -> None:
    """Add the flags of every study."""
    add = parser.add_argument
    add("--dataset", default="digits", help="digits, fashion-mnist or npz:PATH")
    add("--network", default="cnn", choices=("cnn", "mlp", "depthwise"))
    add("--width", type=int, default=16, help="of the zoo's network")
    add("--epochs", type=int, default=25)
    add("--batch", type=int, default=64)
    add("--examples", type=int, help="training examples to use; default all")
    add("--halve", action="store_true", help="average images over 2 x 2")
    add("--seeds", type=int, default=3)
    add("--shares", type=float, nargs="*", default=[0.01, 0.05, 0.1])
    add("--out", type=Path, default=Path(out), help="results are added to its files")


def load_data(args: argparse.Namespace) -> Dataset:
    """The data set that the flags ask for."""
    data = load_dataset(args.dataset)
    shrink = _halve if args.halve else np.asarray
    return dataclasses.replace(
        data,
        x_train=shrink(data.x_train[: args.examples]),
        y_train=data.y_train[: args.examples],
        x_test=shrink(data.x_test),
    )


def _halve(x: np.ndarray) -> np.ndarray:
    count, height, width, channels = x.shape
    parts = x.reshape(count, height // 2, 2, width // 2, 2, channels)
    return parts.mean((2, 4), dtype=np.float32)


def fit(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    args: argparse.Namespace,
    *,
    rate: float = LEARNING_RATE,
) -> None:
    """Train with Adam and a cosine decay over the epochs that the flags ask for.

    Args:
        model: of the zoo, locked or not; it is compiled.
        x, y: training examples and their classes.
        args: the flags.
        rate: first learning rate.
    """
    model.compile(
        falling_adam(len(x), args.epochs, args.batch, rate=rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x, y, args.batch, args.epochs, verbose=0)


def make_bench(target: Target, data: Dataset, args: argparse.Namespace) -> Bench:
    """A thief's workbench. What it compiles depends on the architecture alone, so
    targets can change.
    """
    from edgepro_tf.audit.budget import QUICK
    from edgepro_tf.audit.workbench.bench import Bench

    budget = dataclasses.replace(QUICK, shares=tuple(args.shares))
    return Bench(target, budget, data.x_train, data.y_train, data.x_test, data.y_test)


def figures_of(outcome: Outcome) -> Cell:
    """What is kept of one run of an attack."""
    return {"accuracy": outcome.accuracy, "chosen": outcome.chosen}


class Results:
    """Figures of every cell, a JSON line each: a run that was stopped goes on.

    Args:
        path: the file; its folder is made.
        setting: what all cells of this run share.
    """

    def __init__(self, path: Path, setting: Cell) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._setting = path, setting
        lines = path.read_text().splitlines() if path.exists() else []
        self._found = {_key(entry["cell"]): entry for entry in map(json.loads, lines)}

    def run(
        self, cells: Sequence[Cell], measure: Callable[..., Cell], label: str
    ) -> list[Cell]:
        """Measure what is missing; each result holds its cell and its figures.

        Args:
            cells: keyword arguments of ``measure``.
            measure: gives plain numbers.
            label: of the progress bar.
        """
        return [self._run(cell, measure) for cell in tqdm(cells, label, disable=None)]

    def _run(self, cell: Cell, measure: Callable[..., Cell]) -> Cell:
        whole = self._setting | cell
        if _key(whole) not in self._found:
            self._found[_key(whole)] = {"cell": whole, "figures": measure(**cell)}
            lines = [json.dumps(entry) + "\n" for entry in self._found.values()]
            write_file(self._path, "".join(lines).encode(), overwrite=True)
        return cell | self._found[_key(whole)]["figures"]


def _key(cell: Cell) -> str:
    return json.dumps(cell, sort_keys=True)


def setting_of(args: argparse.Namespace) -> Cell:
    """The flags that figures depend on; a file is known by its name alone."""
    names = ("network", "width", "epochs", "batch", "examples", "halve")
    dataset = args.dataset
    if dataset.startswith("npz:"):
        dataset = Path(dataset.removeprefix("npz:")).stem
    return {"dataset": dataset} | {name: getattr(args, name) for name in names}


def report(text: str, setting: Cell, data: Dataset, args: argparse.Namespace) -> None:
    """Write a study's tables beside its results, and print them."""
    name = f"{setting['dataset']}_{args.network}.md"
    write_file(args.out / name, text.encode(), overwrite=True)
    print(f"\n{data}; {args.network}, {args.epochs} epochs, {args.seeds} seeds\n")
    print(text)


def select(results: Iterable[Cell], field: str, **wanted: Any) -> np.ndarray:
    """float64 [count]: one figure of the results that match, in their order."""
    return np.array(
        [
            result[field]
            for result in results
            if all(result[name] == value for name, value in wanted.items())
        ]
    )


def points(values: np.ndarray, *, signed: bool = True) -> str:
    """Mean and standard deviation of shares of 1, in points."""
    mean = f"{100 * np.mean(values):{'+' if signed else ''}.1f}"
    return f"{mean} ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else mean


def format_markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as the decision records have it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
