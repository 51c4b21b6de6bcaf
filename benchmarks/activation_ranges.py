r"""What the ranges of activations, which quantised files state, are worth to a thief.

python -m benchmarks.activation_ranges --datasets digits npz:letters.npz \
    --networks cnn mlp --seeds 6 --out out/ranges

Every way to train in the ranges that a locked file states (the audit's attacks), and
the same ways, from the same starts, in others: those of a network that the thief trains
on his labels alone (``his own``, which need no file), those of the file dealt to other
layers (``shuffled``), or those of a network that was never trained (``untrained``).
Beside them scratch; as there, the better half of the ways trains from a second start,
the best quarter from a third. Each is held to its way that is best on the test set over
all thieves; ``validated`` is the best of the audit's attacks, each of which takes what
the thief's own validation prefers. Files are those of ``benchmarks.security``, in int8,
a draw of the lock for each thief.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.security import UNTRAINED, Cell, make_pairs

if TYPE_CHECKING:
    from edgepro_tf.audit.thief import Thief
    from edgepro_tf.audit.workbench.bench import Bench
    from edgepro_tf.datasets import Dataset
    from edgepro_tf.flatbuffer.views import Range

_STARTS = 3
SCRATCH, TRUE, SHUFFLED, OWN = "scratch", "the file's", "shuffled", "his own"
VALIDATED = ", validated"  # Behind the name of the ranges.
Found = dict[str, dict[str, list[float]]]  # Accuracies by whose ranges, and way.


def main() -> None:
    args = _parse()
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    from edgepro_tf.datasets import load_dataset

    for name in args.datasets:
        data = load_dataset(name)
        for network in args.networks:
            if network != "mlp" and len(data.input_shape) != 3:
                continue
            subject = Cell(name, network, "standard", number_format="int8")
            for share in args.shares:
                rows = list(_measure(subject, data, share, args))
                print(format_rows(f"{subject.subject}, {share:.0%}", rows), flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", default=["digits"], metavar="NAME")
    parser.add_argument("--networks", nargs="+", default=["cnn"])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.05, 0.1])
    parser.add_argument("--seeds", type=int, default=6, help="thieves")
    parser.add_argument(
        "--controls",
        nargs="+",
        default=[OWN, SHUFFLED],
        choices=(OWN, SHUFFLED, UNTRAINED),
    )
    parser.add_argument("--out", type=Path, default=Path("out/ranges"))
    args = parser.parse_args()
    # What ``benchmarks.security`` makes files by.
    args.locks, args.epochs, args.width = args.seeds, None, None
    return args


def _measure(
    cell: Cell, data: Dataset, share: float, args: argparse.Namespace
) -> Iterator[Found]:
    """Every thief's figures; those that an earlier run left are read."""
    from edgepro_tf.audit.budget import QUICK
    from edgepro_tf.audit.network.importer import import_model
    from edgepro_tf.audit.target import make_target
    from edgepro_tf.audit.workbench.bench import Bench
    from edgepro_tf.audit.workbench.ranges import with_ranges
    from edgepro_tf.audit.workbench.scratch import train_scratch

    pairs = _read_pairs(cell, data, args)
    control = dataclasses.replace(cell, recipe=UNTRAINED)
    ((untrained, _),) = _read_pairs(control, data, args, locks=1)
    wrong = list(import_model(untrained).ranges.values())
    for seed in range(args.seeds):
        path = args.out / cell.folder / f"ranges_{share:g}_{seed}.json"
        found: Found = json.loads(path.read_text()) if path.exists() else {}
        started = time.time()
        target = make_target(*pairs[seed])
        known = target.network.ranges.values()
        dealt = {
            TRUE: list(known),
            SHUFFLED: deal_ranges(list(known), np.random.default_rng(seed)),
            UNTRAINED: wrong,
        }
        ranges = (TRUE, *args.controls)
        for name in (SCRATCH, *ranges, *(each + VALIDATED for each in ranges)):
            if name in found:
                continue
            whose = name.removesuffix(VALIDATED)
            stated = with_ranges(target, dealt.get(whose, dealt[TRUE]))
            bench = Bench(
                stated, QUICK, data.x_train, data.y_train, data.x_test, data.y_test
            )
            thief = bench.thief(share, seed)
            if whose == OWN:
                bench = _train_own(bench, thief)
            if name == SCRATCH:
                details = train_scratch(bench, thief).details
                found[name] = details["by_procedure"]
            elif name.endswith(VALIDATED):
                found[name] = _run_attacks(bench, thief)
            else:
                found[name] = _train_all(bench, thief)
            path.write_text(json.dumps(found))
        print(f"{path.name} {time.time() - started:.0f} s", flush=True)
        yield found


def _read_pairs(
    cell: Cell, data: Dataset, args: argparse.Namespace, **changed: int
) -> list[tuple[bytes, bytes]]:
    folder = args.out / cell.folder
    folder.mkdir(parents=True, exist_ok=True)
    wanted = argparse.Namespace(**{**vars(args), **changed})
    return make_pairs(cell, data, folder, wanted)


def _run_attacks(bench: Bench, thief: Thief) -> dict[str, list[float]]:
    from edgepro_tf.audit.attack import LABELS
    from edgepro_tf.audit.attacks.activation_ranges import ATTACKS

    outcomes = {a.name: a.run(bench, thief) for a in ATTACKS if a.needs == LABELS}
    return {name: [one.accuracy] for name, one in outcomes.items() if one.applies}


def _train_all(bench: Bench, thief: Thief) -> dict[str, list[float]]:
    from edgepro_tf.audit.workbench.halving import halve_ways
    from edgepro_tf.audit.workbench.range_training import list_ways

    rng = thief.rng("ranges, all ways")
    starts = [
        {candidate.label: candidate for candidate in ways}
        for ways in (list_ways(bench, thief, rng, every=True) for _ in range(_STARTS))
    ]

    def measure(label: str, number: int) -> float:
        batches = thief.rng(f"{label} {number}")
        return bench.accuracy(bench.fit(starts[number][label], thief, batches))

    return halve_ways(starts[0], _STARTS, measure)


def _train_own(bench: Bench, thief: Thief) -> Bench:
    """In the ranges of a network that is trained from nothing on the thief's labels."""
    from edgepro_tf.audit.workbench.range_training import in_ranges_of
    from edgepro_tf.audit.workbench.starts import fresh_start

    rng = thief.rng("ranges of his own")
    start = bench.settle(fresh_start(bench.target, rng), thief.x)
    candidate = bench.sweep(thief, {"own": start})[-1]
    trained = bench.fit(candidate, thief, rng)
    return in_ranges_of(bench, trained, thief)


def deal_ranges(ranges: list[Range], rng: np.random.Generator) -> list[Range]:
    """The same greatest numbers, each at another activation than its own."""
    order = np.arange(len(ranges))
    while np.any(order == np.arange(len(ranges))):
        order = rng.permutation(len(ranges))
    factors = [
        ranges[j].greatest / r.greatest for r, j in zip(ranges, order, strict=True)
    ]
    return [
        dataclasses.replace(r, least=r.least * f, greatest=r.greatest * f)
        for r, f in zip(ranges, factors, strict=True)
    ]


def format_rows(title: str, rows: list[Found]) -> str:
    """Means and standard errors over thieves, in points."""
    best = {name: _best_way(rows, name) for name in rows[0]}
    lines = [f"{title}: {len(rows)} thieves"]
    for name, (way, values) in best.items():
        line = f"  {name:21}{100 * values.mean():6.1f} %"
        if name != SCRATCH:
            line += f"  minus scratch {_format(values - best[SCRATCH][1])}"
        is_validated = name.endswith(VALIDATED)
        true = TRUE + VALIDATED if is_validated else TRUE
        if name not in (SCRATCH, true):
            line += f"; the file's minus these {_format(best[true][1] - values)}"
        if name not in (SCRATCH, true) and not is_validated:
            first = _firsts(rows, TRUE) - _firsts(rows, name)
            line += f", mean of all ways {_format(first)}"
        lines.append(f"{line}  ({way})")
    return "\n".join(lines)


def _best_way(rows: list[Found], name: str) -> tuple[str, np.ndarray]:
    table = {
        way: np.array([np.mean(row[name][way]) for row in rows])
        for way in rows[0][name]
        if all(way in row[name] for row in rows)
    }
    way = max(table, key=lambda label: table[label].mean())
    return way, table[way]


def _firsts(rows: list[Found], name: str) -> np.ndarray:
    """float64 [thieves]: the mean of all ways, from the first start alone."""
    return np.array([np.mean([w[0] for w in row[name].values()]) for row in rows])


def _format(values: np.ndarray) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{100 * values.mean():+.1f} ± {100 * error:.1f}"


if __name__ == "__main__":
    main()
