"""What lock training adds once the file is locked by the recipe `standard`.

Ships two versions of an ordinary and of lock-trained networks: version 1 learned from
half of the data, version 2 went on from it with all (and a new lock, where trained
under one), both locked. Thieves of version 2 know a part of its key, or hold a memory
dump of version 1, or have labels alone. Writes the figures (JSON lines, from which a
stopped run goes on) and tables.

python -m benchmarks.lock_training_value --dataset digits --network cnn
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np

from benchmarks import studies
from benchmarks.partial_keys import guess_lock, update_dump
from benchmarks.studies import Cell, points, select
from converters import convert_keras
from converters.pipeline import ProtectedModel
from edgepro_tf import zoo
from edgepro_tf.audit.attack import Outcome
from edgepro_tf.audit.attacks.finetuning import tune_all
from edgepro_tf.audit.network.importer import import_model
from edgepro_tf.audit.target import Arrays, Target, make_target
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.scratch import train_scratch
from edgepro_tf.cli.training_job import LEARNING_RATE
from edgepro_tf.datasets import Dataset
from edgepro_tf.locking import fold_lock, is_locked, lock_model

NONE = "none"
TRAININGS = (NONE, "default", "paper")
# Version 2 goes on under version 1's lock: is it the lock that helps, or its change?
_KEPT = ", lock kept"
DUMPED = (*TRAININGS, f"default{_KEPT}")
_RANKING_SAMPLES = 512
_GUESSES = 10
# What of the draws, and what of the locking values, someone knows.
KNOWN = ((0.5, 0.5), (0.8, 0.8), (0.9, 0.9), (0.95, 0.95), (0.98, 0.98), (1.0, 0.0))
STARTS = ("scratch", "public", "90% known", "draws known")
# What the holder of version 1's dump takes from the public file of version 2.
NOTHING, STANDARD = "nothing", "low bits, recipe standard"
STRICT = "ranks, recipe strict"
DUMPS = (NOTHING, STANDARD, STRICT)


@dataclasses.dataclass(frozen=True, eq=False)
class Versions:
    """Two versions of one network.

    Args:
        dump: the constants of version 1, restored: what a memory dump gives.
        shipped: version 2 by the recipe ``standard``.
        strict: the same network locked by the recipe ``strict``.
    """

    dump: Arrays
    shipped: Target
    strict: Target


class Study:
    """Networks with and without lock training on one data set.

    Args:
        args: the command's flags.
        data: as they ask for.
    """

    def __init__(self, args: argparse.Namespace, data: Dataset) -> None:
        self.args, self.data = args, data
        self._versions = functools.cache(self._train)

    @functools.cached_property
    def bench(self) -> Bench:
        return studies.make_bench(self._versions(NONE, 0).shipped, self.data, self.args)

    def guess(self, training: str, seed: int, draws: float, values: float) -> Cell:
        """Accuracy with a part of version 2's key, without any label."""
        shipped = self._versions(training, seed).shipped
        rng = np.random.default_rng([seed, 3])
        found = [
            self.bench.accuracy(guess_lock(shipped, draws, values, rng))
            for _ in range(_GUESSES)
        ]
        return {
            "accuracy": float(np.mean(found)),
            "best": max(found),
            "authorized": self.bench.accuracy(shipped.authorized),
        }

    def tune(self, training: str, seed: int, start: str, share: float) -> Cell:
        """Accuracy with labels, from the public file or with a part of the key."""
        bench, shipped = self.bench, self._versions(training, seed).shipped
        bench.target, thief = shipped, bench.thief(share, seed)
        if start == "scratch":
            return studies.figures_of(train_scratch(bench, thief))
        if start == "public":
            return studies.figures_of(tune_all(bench, thief))
        known = (0.9, 0.9) if start == "90% known" else (1.0, 0.0)
        guessed = guess_lock(shipped, *known, thief.rng(start))
        return studies.figures_of(tune_from(bench, thief, guessed))

    def use_dump(self, training: str, seed: int, start: str, share: float) -> Cell:
        """Accuracy with version 1's dump, version 2's file and perhaps labels."""
        versions = self._versions(training, seed)
        shipped = versions.strict if start == STRICT else versions.shipped
        bench, known = self.bench, versions.dump
        bench.target = shipped
        if start != NOTHING:
            known = update_dump(shipped, known)
        if share:
            return studies.figures_of(tune_from(bench, bench.thief(share, seed), known))
        return {
            "accuracy": bench.accuracy(known),
            "shipped": bench.accuracy(shipped.authorized),
            "equal": _share_equal(known, shipped.authorized),
        }

    def _train(self, training: str, seed: int) -> Versions:
        keras.utils.set_random_seed(seed)
        x, y = self.data.x_train, self.data.y_train
        model = zoo.build_model(
            self.args.network, x.shape[1:], self.data.classes, width=self.args.width
        )
        samples, half = self.data.x_test[:4], len(x) // 2
        config = training.removesuffix(_KEPT)
        model = self._lock(model, config, 2 * seed)
        studies.fit(model, x[:half], y[:half], self.args)
        dump = import_model(convert_keras(model, samples=samples).authorized)
        if is_locked(model) and config == training:
            model = self._lock(fold_lock(model), config, 2 * seed + 1)
        studies.fit(model, x, y, self.args, rate=self.args.later_rate)
        pairs = (
            convert_keras(model, recipe=recipe, samples=samples)
            for recipe in ("standard", "strict")
        )
        return Versions(list(dump.values), *map(_open, pairs))

    def _lock(self, model: keras.Model, training: str, seed: int) -> keras.Model:
        if training == NONE:
            return model
        x, y = self.data.x_train, self.data.y_train
        return lock_model(
            model,
            config=training,
            samples=(x[:_RANKING_SAMPLES], y[:_RANKING_SAMPLES]),
            loss="sparse_categorical_crossentropy",
            seed=seed,
        )


def _open(pair: ProtectedModel) -> Target:
    return make_target(pair.public, pair.payload)


def _share_equal(found: Arrays, right: Arrays) -> float:
    equal = [np.equal(*pair).reshape(-1) for pair in zip(found, right, strict=True)]
    return float(np.concatenate(equal).mean())


def tune_from(bench: Bench, thief: Thief, start: Arrays) -> Outcome:
    """Fine-tune everything from a good start, gently too."""
    rates = (1e-4, 1e-3, *bench.budget.rates)
    candidates = bench.sweep(thief, {"start": start}, rates=rates)
    return bench.outcome(candidates, thief, "tune from a good start")


def format_report(guesses: list[Cell], tuned: list[Cell], dumps: list[Cell]) -> str:
    """Three tables, a column for each training."""
    return "\n".join(
        [
            _table(
                "part of the key, no labels",
                {"all of it": {"draws": 1.0, "field": "authorized"}}
                | {_known_name(*k): {"draws": k[0], "values": k[1]} for k in KNOWN},
                guesses,
            ),
            _table("labels", _rows(tuned, STARTS), tuned),
            _table(
                "dump of version 1, and from the file of version 2:",
                {"version 2, authorized": {"share": 0.0, "start": NOTHING,
                                           "field": "shipped"}}
                | _rows(dumps, DUMPS),
                dumps,
            ),
        ]
    )  # fmt: skip


def _known_name(draws: float, values: float) -> str:
    return f"{draws:.0%} of it" if values else "all draws, no locking value"


def _rows(cells: list[Cell], starts: tuple[str, ...]) -> dict[str, Cell]:
    shares = sorted({cell["share"] for cell in cells})
    return {
        f"{start}, {f'{share:.0%} labels' if share else 'no labels'}": {
            "start": start, "share": share
        }
        for share in shares
        for start in starts
    }  # fmt: skip


def _table(title: str, rows: dict[str, Cell], cells: list[Cell]) -> str:
    """Mean and deviation over seeds of each row's figure, in %."""
    body, trainings = [], dict.fromkeys(cell["training"] for cell in cells)
    for name, wanted in rows.items():
        field = wanted.get("field", "accuracy")
        only = {key: value for key, value in wanted.items() if key != "field"}
        found = [select(cells, field, training=t, **only) for t in trainings]
        body.append([name, *(points(values, signed=False) for values in found)])
    header = [title, *(f"lock training {training}" for training in trainings)]
    return studies.format_markdown(header, body)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    studies.add_arguments(parser, out="out/lock_training_value")
    parser.add_argument(
        "--later_rate",
        type=float,
        default=LEARNING_RATE,
        help="first learning rate of version 2; the lower, the nearer it stays",
    )
    args = parser.parse_args()
    data = studies.load_data(args)
    setting = studies.setting_of(args) | {"later_rate": args.later_rate}
    study = Study(args, data)
    results = studies.Results(args.out / "results.jsonl", setting)

    def run(
        measure: Callable[..., Cell],
        label: str,
        options: list[Cell],
        trainings: tuple[str, ...] = TRAININGS,
    ) -> list[Cell]:
        cells = [
            {"training": training, "seed": seed} | each
            for training in trainings
            for seed in range(args.seeds)
            for each in options
        ]
        return results.run(cells, measure, label)

    shares = args.shares
    report = format_report(
        run(study.guess, "partial keys",
            [{"draws": draws, "values": values} for draws, values in KNOWN]),
        run(study.tune, "labels",
            [{"start": start, "share": s} for start in STARTS for s in shares]),
        run(study.use_dump, "memory dumps",
            [{"start": start, "share": s} for start in DUMPS for s in (0.0, *shares)],
            DUMPED),
    )  # fmt: skip
    studies.report(report, setting, data, args)


if __name__ == "__main__":
    main()
