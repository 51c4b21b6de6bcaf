"""``audit_pair``: attack a public model and its lock, and report."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepro_tf.audit.attack import Attack, AttackResult, Cell
from edgepro_tf.audit.attacks import all_attacks
from edgepro_tf.audit.budget import QUICK, Budget
from edgepro_tf.audit.reporting.page import write_page
from edgepro_tf.audit.reporting.report import AuditReport, summarise
from edgepro_tf.audit.runner import Cache, Expect, Progress, list_cells, run_cells
from edgepro_tf.audit.scoring.accuracy import fit_data
from edgepro_tf.audit.scoring.regression import Numbers
from edgepro_tf.audit.scoring.scores import are_numbers
from edgepro_tf.audit.target import digest, make_target
from edgepro_tf.audit.workbench.bases import read_base
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.scratch import SCRATCH
from edgepro_tf.errors import ConversionError
from edgepro_tf.files import write_file
from edgepro_tf.runtime.interpreters import make_interpreter

if TYPE_CHECKING:
    from edgepro_tf.datasets import Dataset

_MOST_OF_ONE = 0.6
_UNEVEN = (
    " Or test on as many examples of each class: here one answer to everything is "
    "right too often to be beaten."
)
CACHE_FILE, JSON_FILE, PAGE_FILE = "results.jsonl", "audit.json", "audit.html"


def audit_pair(
    public: bytes,
    payload: bytes,
    data: Dataset,
    *,
    name: str = "model",
    recipe: str = "",
    others: Sequence[tuple[bytes, bytes]] = (),
    output: str | None = None,
    base: Path | None = None,
    is_control: bool = False,
    budget: Budget = QUICK,
    attacks: Sequence[Attack] | None = None,
    cache: Path | None = None,
    workers: int = 1,
    progress: Progress = lambda cells, _: cells,
    expect: Expect | None = None,
    seconds: float = math.inf,
    facts: dict[str, Any] | None = None,
) -> AuditReport:
    """Attack a public model as thieves with its file and some data would.

    Args:
        public: the ``.tflite`` that ships.
        payload: its lock. Attacks do not read it, measurements with partial knowledge
            do, and so does the report of what the authorized network reaches.
        data: thieves draw theirs from its training set; accuracy (R2, where labels are
            numbers: ``fit_labels``) is on its test set.
            Of several inputs, arrays by the model's names (``join_inputs``).
        name: heading of the report.
        recipe: the recipe's name, for the report.
        others: further draws of the same model's lock, public file and payload each.
            Thieves hold them in turn: a figure of one file alone has its draw's luck.
        output: name of the one that is labelled; None for the only one.
        base: the public ``.tflite`` that the model was fine-tuned from, for attacks
            that put what is open into it; None makes one from the authorized network,
            which understates them.
        is_control: whether the network is one that was never trained, on purpose.
        budget: ``QUICK`` (about two minutes for a small network on small images) or
            ``FULL``, or your own.
        attacks: None for all; scratch must be among them.
        cache: a file of JSON lines; an audit that was stopped goes on from it.
        workers: attacks run at a time.
        progress: wraps an iterable, given its length, to show it.
        expect: told of each file first how many seconds it will take, within a factor
            of two.
        seconds: that it may take. What is not done by then is named in the report.
            Scratch and fine-tuning of the smallest share's first thief make do with
            what they have; with the same cache the audit goes on.
        facts: further lines for the report.

    Returns:
        The report; ``write_report`` makes files of it.

    Raises:
        InterpreterError: it has several outputs and none is named, or it takes other
            inputs, or answers with other classes, numbers or places, than the data
            have.
        ConversionError: the model is none that attacks can be run on, or not one of
            this data, or the base is of another structure.

    Cost: training runs; see ``Budget``.
    """
    started = time.time()
    attacks = all_attacks() if attacks is None else tuple(attacks)
    if SCRATCH not in [attack.name for attack in attacks]:
        raise ValueError(f"attacks are held against {SCRATCH!r}, which is missing")
    data = fit_data(name, make_interpreter(public), data, output)
    until = time.monotonic() + seconds
    cells: list[Cell] = []
    results: list[AttackResult] = []
    released = []
    pairs = [(public, payload), *others]
    for i, (file, lock) in enumerate(pairs):
        bench = _make_bench(
            file, lock, data, budget, name=name, output=output, base=base
        )
        described = _describe(bench)
        if not is_control:
            _check_answers(bench, described["authorized_accuracy"])
        released.append(bench.accuracy(bench.target.public))
        suited = [attack for attack in attacks if attack.suits(bench.task)]
        mine = list_cells(suited, bench.budget, budget.seeds[i :: len(pairs)])
        cells += mine
        results += run_cells(
            bench,
            mine,
            cache=Cache(cache, _list_context(file, data, bench.budget, base, output)),
            workers=workers,
            progress=progress,
            expect=expect,
            until=until,
        )
    known = {
        "name": name,
        "recipe": recipe,
        "data": str(data),
        **described,
        "locks_drawn": len(pairs),
        "output": output,
        "base": None if base is None else base.name,
        "model_bytes": len(public),
        "released_accuracy": float(np.mean(released)),
        "seconds": round(time.time() - started, 1),
        **(facts or {}),
    }
    return summarise(results, attacks, bench.budget, known, bench.task, cells)


def _make_bench(
    public: bytes,
    payload: bytes,
    data: Dataset,
    budget: Budget,
    *,
    name: str,
    output: str | None,
    base: Path | None,
) -> Bench:
    """One file's workbench; arguments as of ``audit_pair``."""
    task = Numbers.of(data.y_train) if are_numbers(data.y_train) else None
    target = make_target(public, payload, name=name, output=output, task=task)
    if base is not None:
        known_base = read_base(target.network, base, output)
        target = dataclasses.replace(target, base=known_base)
    network = target.network
    budget = budget.for_data(len(data.x_train), network.task.least_labels)
    budget = budget.for_network(len(network.distinct_linears))
    return Bench(target, budget, data.x_train, data.y_train, data.x_test, data.y_test)


def _list_context(
    public: bytes, data: Dataset, budget: Budget, base: Path | None, output: str | None
) -> list[Any]:
    """Whatever a file's results depend on besides attack, share and seed."""
    # Of each seed by itself: who takes more thieves keeps those that he has.
    of_each = dataclasses.replace(budget, seeds=())
    context = [digest(public), data.digest, dataclasses.asdict(of_each)]
    if base is not None:
        context.append(digest(base.read_bytes()))
    if output is not None:
        context.append(output)
    return context


def _describe(bench: Bench) -> dict[str, Any]:
    """The report's lines on the network, the data and the budget."""
    return {
        "labels_taken_for": bench.task.labels,
        "score": bench.task.score_name,
        "test_examples": len(bench.y_test),
        "classes_not_trained": bench.count_unseen() or None,
        "labels": {share: bench.count_labels(share) for share in bench.budget.shares},
        "budget": dataclasses.asdict(bench.budget),
        "weights": bench.network.weights,
        "authorized_accuracy": bench.accuracy(bench.target.authorized),
        "chance": bench.chance,
    }


def _check_answers(bench: Bench, accuracy: float) -> None:
    if accuracy > bench.chance:
        return
    raise ConversionError(
        "cannot audit model: expected the authorized network to answer this data, got "
        f"one of {bench.task.score_name} {accuracy:.1%} ({bench.task.constant}: "
        f"{bench.chance:.1%}).",
        "Scale inputs as in training: a data file's bytes are divided by 255, its "
        "floats are taken as they are. Number labels as in training, classes from 0."
        + (_UNEVEN if bench.chance > _MOST_OF_ONE else ""),
    )


def write_report(report: AuditReport, folder: Path) -> None:
    """Write ``audit.html`` and ``audit.json`` into a folder, over older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(report.to_dict(), indent=1, default=str)
    write_file(folder / JSON_FILE, document.encode(), overwrite=True)
    write_file(folder / PAGE_FILE, write_page(report).encode(), overwrite=True)


def progress_bar(label: str) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    """A bar on standard error, if it is a terminal."""
    from tqdm import tqdm

    return lambda cells, count: tqdm(cells, label, count, leave=False, disable=None)
