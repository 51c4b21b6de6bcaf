"""The public network that a developer began from: the one given, or one like it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepro_tf.audit.network.answers import find_answers
from edgepro_tf.audit.network.importer import Network, import_model
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.starts import fresh_start
from edgepro_tf.audit.workbench.training import Candidate
from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import output_details

if TYPE_CHECKING:
    from pathlib import Path

_RATE = 1e-3


def read_base(network: Network, path: Path, output: str | None = None) -> Arrays:
    """The constants of a base network, in the places of an audited one's.

    Args:
        network: the audited one; its heads are its own, a base has others or none.
        path: the base's ``.tflite``, in any number format.
        output: the audited one's; a base of a single output has it under any name.

    Returns:
        float32 arrays in the order of ``network.parameters``; zeros for the heads.

    Raises:
        ConversionError: it is no network of this structure.
    """
    content = path.read_bytes()
    read_model(content)  # Says no in our words.
    shared = output if output in output_details(make_interpreter(content)) else None
    base = import_model(content, find_answers(path.name, content, shared))
    body = [i for i in range(len(network.parameters)) if i not in network.heads]
    out = [np.zeros_like(value) for value in network.values]
    shapes = [value.shape for value in base.values]
    for place, i in enumerate(body):
        if shapes[place : place + 1] != [out[i].shape]:
            found = list(shapes[place]) if place < len(shapes) else "none"
            raise ConversionError(
                f"cannot audit beside {path.name}: expected the audited network as it "
                f"was before fine-tuning, its constant {place + 1} of shape "
                f"{list(out[i].shape)}, got {found}.",
                "Convert the base as the model was converted; only heads may differ.",
            )
        out[i] = np.array(base.values[place])
    return out


def make_base(bench: Bench, thief: Thief, rng: np.random.Generator) -> Arrays:
    """The base that was given, or one as far away as fine-tuning moves a network.

    The latter is the authorized network, trained on another task (classes renamed) from
    a new head on. A base that was given has a new head, too.
    """
    given = bench.target.base
    start = list(bench.target.authorized if given is None else given)
    fresh = fresh_start(bench.target, rng)
    for i in bench.network.heads:
        start[i] = fresh[i]
    if given is not None:
        return start
    x, y = bench.public_task(thief.seed)
    other = bench.task.change(y, rng)
    candidate = Candidate("", start, bench.plan(thief, start, _RATE))
    targets = bench.task.make_targets(other)
    return bench.train(candidate, x, targets, np.arange(len(y)), rng)
