r"""What a thief gains, recipe by recipe: one audit a cell, one table a bar.

python -m benchmarks.security --datasets digits npz:letters.npz --networks mlp cnn \
    --recipes standard strict fast paper --budget quick --out out/security

A run that was stopped goes on where it was. Networks are trained once for each data set
and shared by all recipes; the recipe ``paper`` needs one that was lock-trained. The
recipe ``untrained`` is the control: ``standard`` on a network that was never trained, a
file that holds nothing. What the same attacks gain there is their own doing and luck.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.security_tables import draw_picture, format_tables
from converters.recipe import PRESETS, Recipe, find_recipe
from edgepro_tf.cli.training_job import NETWORKS
from edgepro_tf.errors import EdgeProError
from edgepro_tf.locks import Step

if TYPE_CHECKING:
    import keras

    from converters import ProtectedModel
    from edgepro_tf.audit.reporting.report import AuditReport
    from edgepro_tf.datasets import Dataset

_CHANNELS = Step.ORDER | Step.SIGNS | Step.EXPONENTS
_SHUFFLE = Step.SHUFFLE | Step.SIGNS
UNTRAINED = "untrained"
# Recipes to compare with; none of them is a preset.
EXTRA_RECIPES = {
    "channels": Recipe("channels", _CHANNELS, _SHUFFLE, _SHUFFLE, Step.SHUFFLE),
    "mask-only": Recipe("mask-only", Step.MASK, Step.MASK, Step.MASK, Step(0)),
    UNTRAINED: PRESETS["standard"],
    # About what "fast" is to a large network: a tenth of these small ones' bytes.
    "tenth": find_recipe("fast", restore_budget=0.1),
}
_RESTORES = 31


@dataclasses.dataclass(frozen=True)
class Cell:
    """One audit: a network on a data set under a recipe."""

    data: str
    network: str
    recipe: str
    width: int | None = None
    number_format: str = "float32"

    @property
    def trained(self) -> str:
        from edgepro_tf.zoo import WIDTH

        size = "" if self.width in (None, WIDTH) else f" {self.width}"
        return f"{Path(self.data.removeprefix('npz:')).stem} {self.network}{size}"

    @property
    def subject(self) -> str:
        is_usual = self.number_format == "float32"
        return self.trained if is_usual else f"{self.trained} {self.number_format}"

    @property
    def folder(self) -> str:
        return f"{self.subject.replace(' ', '-')}-{self.recipe}"

    @property
    def training(self) -> str:
        return self.recipe if self.recipe in ("paper", UNTRAINED) else "none"

    @property
    def unprotected(self) -> str:
        return UNTRAINED if self.recipe == UNTRAINED else "none"


def main() -> None:
    args = _parse()
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(args.workers))
    from edgepro_tf.datasets import load_dataset

    rows = []
    sets = [(name, load_dataset(name)) for name in args.datasets]  # Refused now.
    for name, data in sets:
        for network in args.networks:
            if network != "mlp" and len(data.input_shape) != 3:
                print(f"{name}: no images, {network} left out", flush=True)
                continue
            for recipe in args.recipes:
                cell = Cell(name, network, recipe, args.width, args.format)
                rows.append(_run_cell(cell, data, args))
                _write(rows, args.out)
    print(format_tables(rows))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", default=["digits"], metavar="NAME")
    parser.add_argument(
        "--networks", nargs="+", default=["mlp", "cnn"], choices=NETWORKS
    )
    parser.add_argument(
        "--recipes",
        nargs="+",
        default=["standard", "strict"],
        choices=[*PRESETS, *EXTRA_RECIPES],
    )
    parser.add_argument("--budget", choices=("quick", "full"), default="quick")
    parser.add_argument("--seeds", type=int, help="thieves, default 3")
    parser.add_argument(
        "--locks",
        type=int,
        default=1,
        help="draws of each lock, default 1; thieves hold them in turn. With as many "
        "as there are thieves the spread has the draws' luck in it",
    )
    parser.add_argument(
        "--shares", type=float, nargs="+", help="of the data, default 0.01 0.05 0.1"
    )
    parser.add_argument("--epochs", type=int, help="of each network's training")
    parser.add_argument(
        "--width",
        type=int,
        help="of the networks, in channels; default the zoo's own",
    )
    parser.add_argument(
        "--format",
        default="float32",
        choices=("float32", "float16", "dynamic", "int8", "int16x8"),
        help="number format of the files, default float32",
    )
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=Path("out/security"))
    return parser.parse_args()


def _run_cell(cell: Cell, data: Dataset, args: argparse.Namespace) -> dict[str, Any]:
    """Train (or load), lock (or load), audit (or go on), measure."""
    from edgepro_tf.audit.budget import FULL, QUICK

    started = time.time()
    print(f"{cell.subject}, recipe {cell.recipe}", flush=True)
    folder = args.out / cell.folder
    folder.mkdir(parents=True, exist_ok=True)
    pairs = make_pairs(cell, data, folder, args)
    budget = (FULL if args.budget == "full" else QUICK).with_seeds(args.seeds)
    if args.shares:
        budget = dataclasses.replace(budget, shares=tuple(args.shares))
    # On the very examples that the audit measures on.
    picked = budget.pick_test(len(data.x_test))
    x, y = data.x_test[picked], data.y_test[picked]
    scores = _train(cell, cell.unprotected, data, args).predict(
        x, batch_size=256, verbose=0
    )
    facts = {"unprotected_accuracy": float(np.mean(np.argmax(scores, -1) == y))}
    report = audit_draws(
        pairs, data, folder, args,
        name=cell.subject, recipe=cell.recipe, budget=budget, facts=facts,
    )  # fmt: skip
    row = dataclasses.asdict(cell) | {"subject": cell.subject}
    row |= summarise_report(report) | _measure_restore(*pairs[0])
    print(f"{report}\n{time.time() - started:.0f} s", flush=True)
    return row


def audit_draws(
    pairs: list[tuple[bytes, bytes]],
    data: Dataset,
    folder: Path,
    args: argparse.Namespace,
    *,
    recipe: str,
    **options: Any,
) -> AuditReport:
    """Attack draws of one network's lock, or go on, and write the report.

    Args:
        pairs: public file and payload of each draw.
        data: the thieves'.
        folder: of the report, and of what an earlier run left.
        args: the flags.
        recipe: its name, or ``UNTRAINED``.
        **options: of ``audit_pair``.
    """
    from edgepro_tf.audit.pair import CACHE_FILE, audit_pair, progress_bar, write_report

    (public, payload), *others = pairs
    report = audit_pair(
        public,
        payload,
        data,
        recipe=recipe,
        others=others,
        is_control=recipe == UNTRAINED,
        cache=folder / CACHE_FILE,
        workers=args.workers,
        progress=progress_bar(folder.name),
        **options,
    )
    write_report(report, folder)
    return report


def make_pairs(
    cell: Cell, data: Dataset, folder: Path, args: argparse.Namespace
) -> list[tuple[bytes, bytes]]:
    from converters import convert_keras
    from converters.samples import calibrate_with
    from edgepro_tf.locking import network_of

    def convert() -> ProtectedModel:
        model = _train(cell, cell.training, data, args)
        return convert_keras(
            model,
            recipe=EXTRA_RECIPES.get(cell.recipe, cell.recipe),
            number_format=cell.number_format,
            representative_dataset=calibrate_with(
                data.x_train[:128], network_of(model).inputs
            ),
            samples=data.x_train[:16],
        )

    return draw_pairs(folder, args.locks, convert)


def draw_pairs(
    folder: Path, count: int, convert: Callable[[], ProtectedModel]
) -> list[tuple[bytes, bytes]]:
    """Draws of one network's lock, public file and payload.

    Those that an earlier run left in the folder are taken up again.
    """
    from edgepro_tf.files import PRIVATE_MODE, write_file

    pairs = []
    for draw in ("", *(f"_{number}" for number in range(1, count))):
        files = folder / f"model{draw}.tflite", folder / f"lock{draw}.payload"
        if not all(file.exists() for file in files):
            pair = convert()
            # The payload lies open here: this network is made to be attacked.
            write_file(files[1], pair.payload, overwrite=True, mode=PRIVATE_MODE)
            write_file(files[0], pair.public, overwrite=True)
        pairs.append((files[0].read_bytes(), files[1].read_bytes()))
    return pairs


def _train(
    cell: Cell, training: str, data: Dataset, args: argparse.Namespace
) -> keras.Model:
    """The network of this data set, locked or not; trained once, or never."""
    from edgepro_tf.cli import keras_files, training_job

    path = args.out / "networks" / f"{cell.trained.replace(' ', '-')}-{training}.keras"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        trained = training_job.train_network(
            cell.network,
            data,
            lock="paper" if training == "paper" else "none",
            epochs=0
            if training == UNTRAINED
            else args.epochs or training_job.default_epochs(data),
            width=cell.width,
            seed=0,
            verbose=0,
        )
        keras_files.save_model(trained.model, path)
    return keras_files.load_model(path)


def summarise_report(report: AuditReport) -> dict[str, Any]:
    """The figures that bars are set on, plain numbers, from one audit."""
    from edgepro_tf.audit.attack import INPUTS, NOTHING

    by_name = {s.attack: s for s in report.summaries}
    facts, wrong = report.facts, by_name["wrong locks"]
    bit, missing = (
        by_name["one bit of the seed wrong"],
        by_name["one layer's lock missing"],
    )
    best = max(
        (
            s
            for s in report.summaries
            if s.counts and s.applies and s.needs in (INPUTS, NOTHING)
        ),
        key=lambda s: s.accuracy,
    )
    areas = {
        s.attack: float(np.mean([d["auc"] for d in s.details]))
        for s in report.summaries
        if all("auc" in d for d in s.details)
    }
    area = max(areas, key=lambda name: areas[name], default="")
    return {
        "unprotected": facts["unprotected_accuracy"],
        "authorized": facts["authorized_accuracy"],
        "chance": facts["chance"],
        "released": facts["released_accuracy"],
        "wrong_mean": float(np.mean([d["mean"] for d in wrong.details])),
        "wrong_worst": max(d["worst"] for d in wrong.details),
        "wrong_count": sum(d["count"] for d in wrong.details),
        "one_layer_missing": missing.accuracy,
        "one_bit_mean": float(np.mean([d["mean"] for d in bit.details])),
        "one_bit_worst": max(d["worst"] for d in bit.details),
        "advantages": [dataclasses.asdict(one) for one in report.advantages],
        "worst_area": areas.get(area),
        "worst_area_by": area,
        "without_labels": best.accuracy,
        "without_labels_by": best.attack,
    }


def _measure_restore(public: bytes, payload: bytes) -> dict[str, Any]:
    """Median time of restoring a copy in memory, one thread."""
    from edgepro_tf import native

    times, written = [], 0
    for _ in range(_RESTORES):
        copy = bytearray(public)
        started = time.perf_counter()
        written = native.restore_buffer(copy, payload)
        times.append(1000 * (time.perf_counter() - started))
    return {
        "payload_bytes": len(payload),
        "model_bytes": len(public),
        "bytes_rewritten": written,
        "restore_ms": float(np.median(times)),
    }


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    (out / "security.json").write_text(json.dumps(rows, indent=1, default=float))
    (out / "security.md").write_text(format_tables(rows) + "\n")
    draw_picture(rows, out / "security.svg")
    draw_picture(rows, out / "security.png")


if __name__ == "__main__":
    try:
        main()
    except EdgeProError as error:
        raise SystemExit(f"error: {error}") from error
