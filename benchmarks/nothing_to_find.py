"""The third family of locks: the public file is a random draw, a secret part learned.

Trains networks whose public part stays at a draw from a published seed, beside the
ordinary network, and lets thieves fine-tune both the draw and the locked files of the
ordinary one, always beside training from scratch on the same labels. Writes the
figures (JSON lines, from which a stopped run goes on) and a table.

python -m benchmarks.nothing_to_find --dataset digits --network cnn
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from typing import Any

import keras
import numpy as np

from benchmarks import studies
from benchmarks.secret_parts import (
    FAMILIES,
    ORDINARY,
    Family,
    draw_filters,
    draw_places,
    make_secret,
    price_of,
    to_file,
)
from benchmarks.studies import Cell, points, select
from converters import convert_keras
from edgepro_tf import zoo
from edgepro_tf.audit.attack import Outcome
from edgepro_tf.audit.attacks.finetuning import tune_all
from edgepro_tf.audit.target import Target, make_target, relock
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.scratch import train_scratch
from edgepro_tf.datasets import Dataset
from edgepro_tf.locks import Step

# ``fast`` locks networks as small as these by ``standard``.
RECIPES = ("standard", "strict")
# Families whose thief also trains no more than the developer did.
_PARTS = ("rows 30%", "first, head", "first, head, depthwise")
_SCRATCH, _DRAW = "scratch", "published draw"
_BY_NAME = {family.name: family for family in FAMILIES}


class Study:
    """One network on one data set.

    Args:
        args: the command's flags.
        data: as they ask for.
    """

    def __init__(self, args: argparse.Namespace, data: Dataset) -> None:
        self.args, self.data = args, data
        self.plain = zoo.build_model(
            args.network, data.input_shape, data.classes, width=args.width
        )

    def train(self, family: str, seed: int) -> Cell:
        """Test accuracy and prices of one family."""
        return self._train(_BY_NAME[family], seed)[1]

    def attack(self, subject: str, attack: str, share: float, seed: int) -> Cell:
        """Accuracy of a thief with a share of the labels; see ``attacks_on``."""
        bench = self.bench
        thief = bench.thief(share, seed)
        if subject == _SCRATCH:
            return studies.figures_of(train_scratch(bench, thief))
        # Draws and locks are the thief's seed's own: luck with one averages.
        if subject != _DRAW:
            bench.target = self._relocked(subject, seed)
            return studies.figures_of(tune_all(bench, thief))
        bench.target = self._published(seed)
        if attack == "nothing":
            return studies.figures_of(tune_all(bench, thief))
        return studies.figures_of(
            tune_part(bench, thief, self._masks(_BY_NAME[attack], seed))
        )

    @functools.cached_property
    def bench(self) -> Bench:
        return studies.make_bench(self.locked["standard"], self.data, self.args)

    @functools.cached_property
    def pairs(self) -> dict[str, Any]:
        """The ordinary network locked by every recipe."""
        model = self._train(ORDINARY, 0)[0]
        samples = self.data.x_test[:4]
        return {r: convert_keras(model, recipe=r, samples=samples) for r in RECIPES}

    @functools.cached_property
    def locked(self) -> dict[str, Target]:
        return {
            recipe: make_target(pair.public, pair.payload)
            for recipe, pair in self.pairs.items()
        }

    def price_recipe(self, recipe: str) -> Cell:
        pair = self.pairs[recipe]
        return {"secret": len(pair.payload), "rewritten": pair.bytes_rewritten}

    def _train(self, family: Family, seed: int) -> tuple[keras.Model, Cell]:
        keras.utils.set_random_seed(seed)
        model = make_secret(self.plain, family, seed)
        studies.fit(model, self.data.x_train, self.data.y_train, self.args)
        right = model.evaluate(
            self.data.x_test, self.data.y_test, 512, verbose=0, return_dict=True
        )
        price = price_of(self.plain, family, draw_places(self.plain, family, seed))
        return model, {"accuracy": right["accuracy"], **dataclasses.asdict(price)}

    def _relocked(self, recipe: str, seed: int) -> Target:
        target = self.locked[recipe]
        draw = relock(target, seed.to_bytes(32, "little"))
        network = dataclasses.replace(target.network, values=tuple(draw.values))
        return dataclasses.replace(target, network=network, orders=draw.orders)

    def _published(self, seed: int) -> Target:
        """The draw as a public file: nothing in it depends on the data."""
        network = self.locked["standard"].network
        values = [np.zeros_like(value) for value in network.values]
        drawn = draw_filters(self.plain, seed)
        for one, filter_values in zip(network.linears, drawn, strict=True):
            values[one.filter] = to_file(filter_values)
        network = dataclasses.replace(network, values=tuple(values))
        count = len(values)
        return Target(network, values, (Step(0),) * count, ((),) * count)

    def _masks(self, family: Family, seed: int) -> list[np.ndarray]:
        network = self.bench.network
        masks = [np.ones_like(value) for value in network.values]
        places = draw_places(self.plain, family, seed)
        for one, secret in zip(network.linears, places, strict=True):
            masks[one.filter] = to_file(secret)
        return masks


def tune_part(bench: Bench, thief: Thief, masks: list[np.ndarray]) -> Outcome:
    """Train what the developer trained, from the public values; the rest stays."""
    starts = bench.variants(bench.target.public, thief.x)
    candidates = bench.sweep(thief, starts, masks=masks)
    return bench.outcome(candidates, thief, "tune secret part")


def attacks_on(families: list[Family]) -> list[tuple[str, str]]:
    """Subject and attack: ``nothing`` more than fine-tuning, or whose part moves.

    All families publish the same draw, so one fine-tuning of everything stands for all.
    The recipes leave nothing open: a thief who draws what they hide afresh is scratch.
    """
    parts = [f.name for f in families if f.name in _PARTS]
    return [
        (_SCRATCH, ""),
        (_DRAW, "nothing"),
        *((_DRAW, name) for name in parts),
        *((recipe, "nothing") for recipe in RECIPES),
    ]


def format_table(trained: list[Cell], attacks: list[Cell], prices: Cell) -> str:
    """The families and the recipes at the same prices."""
    shares = sorted({one["share"] for one in attacks})
    ordinary = select(trained, "accuracy", family=ORDINARY.name)
    weights = trained[0]["weights"]
    rows = []
    for name in dict.fromkeys(one["family"] for one in trained):
        mine = [one for one in trained if one["family"] == name]
        found = select(mine, "accuracy")
        rows.append(
            [name, points(found, signed=False), points(found - ordinary),
             *_bytes(mine[0], weights), *("as the draw" for _ in shares)]
        )  # fmt: skip
    rows[0][2:] = ["0", *_bytes(trained[0], weights), *("-" for _ in shares)]
    draw = (_advantage(attacks, _DRAW, share) for share in shares)
    if shares:
        rows.append([_DRAW, "", "", "", "", *draw])
    for recipe, price in prices.items():
        rows.append(
            [f"recipe {recipe}", points(ordinary, signed=False), "0",
             *_bytes(price, weights),
             *(_advantage(attacks, recipe, share) for share in shares)]
        )  # fmt: skip
    scratch = [
        points(select(attacks, "accuracy", subject=_SCRATCH, share=share), signed=False)
        for share in shares
    ]
    if shares:
        rows.append(["scratch accuracy, %", "", "", "", "", *scratch])
    header = [
        "", "accuracy, %", "to ordinary, points", "secret bytes", "bytes rewritten",
        *(f"advantage at {share:.0%}" for share in shares),
    ]  # fmt: skip
    return studies.format_markdown(header, rows)


def _advantage(attacks: list[Cell], subject: str, share: float) -> str:
    """The best attack by its mean over seeds, minus scratch seed by seed."""
    mine = [one for one in attacks if one["share"] == share]
    scratch = select(mine, "accuracy", subject=_SCRATCH)
    tried = dict.fromkeys(one["attack"] for one in mine if one["subject"] == subject)
    found = [select(mine, "accuracy", subject=subject, attack=name) for name in tried]
    return points(max(found, key=np.mean) - scratch)


def _bytes(price: Cell, weights: int) -> list[str]:
    secret, rewritten = price["secret"], price["rewritten"]
    return [f"{value:,} ({value / weights:.0%})" for value in (secret, rewritten)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    studies.add_arguments(parser, out="out/nothing_to_find")
    names = list(_BY_NAME)
    parser.add_argument("--families", nargs="+", choices=names, default=names)
    args = parser.parse_args()
    data, setting = studies.load_data(args), studies.setting_of(args)
    study = Study(args, data)
    families = [f for f in FAMILIES if f.name in {ORDINARY.name, *args.families}]
    if args.network != "depthwise":
        families = [f for f in families if f.rank or not f.depthwise]
    seeds = range(args.seeds)
    results = studies.Results(args.out / "results.jsonl", setting)
    trained = results.run(
        [{"family": f.name, "seed": s} for f in families for s in seeds],
        study.train, "training",
    )  # fmt: skip
    attacks = results.run(
        [
            {"subject": subject, "attack": attack, "share": share, "seed": seed}
            for subject, attack in attacks_on(families)
            for share in args.shares
            for seed in seeds
        ],
        study.attack, "attacking",
    )  # fmt: skip
    prices = results.run([{"recipe": r} for r in RECIPES], study.price_recipe, "prices")
    table = format_table(trained, attacks, dict(zip(RECIPES, prices, strict=True)))
    studies.report(table, setting, data, args)


if __name__ == "__main__":
    main()
