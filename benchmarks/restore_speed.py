"""What each step of the native core costs an element.

    python -m benchmarks.restore_speed [--elements 1048576] [--threads 1]

Restores a file of one constant [1, 1024, n / 1024] over and over, under each step by
itself and under the combinations that the recipes ask for, as a locker fits them to
the type: a mask of float32 takes whole fractions, without an order. Checking the
fingerprint is part of every figure, as it is of every load; the same bytes copied are
the yardstick.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from converters.exactness import find_window, fit_steps
from converters.recipe import PRESETS
from edgepro_tf import native
from edgepro_tf.cli.console import format_table
from edgepro_tf.errors import PayloadError
from edgepro_tf.locks import ElementType, ModelLock, SetValues, Step, TensorLock
from edgepro_tf.payload import pack_lock
from tests.edgepro_tf.native.tiny_file import TinyTensor, write_file

TYPES = (
    ElementType.FLOAT32,
    ElementType.FLOAT16,
    ElementType.INT8,
    ElementType.UINT8,
)
_CHANNELS = 1024
_REPEATS = 21


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elements", type=int, default=1 << 20)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    print(format_speeds(args.elements, threads=args.threads))


def format_speeds(elements: int, *, threads: int = 1) -> str:
    """A table of nanoseconds an element; ``-`` where no lock has such a record."""
    shape = (1, _CHANNELS, max(1, elements // _CHANNELS))
    constants = {kind: _make_constant(kind, shape) for kind in TYPES}
    yardsticks = {"memcpy": _time_copy, "fingerprint": _time_fingerprint}
    rows = [
        [name, *(f"{measure(constant):.3f}" for constant in constants.values())]
        for name, measure in yardsticks.items()
    ]
    for steps in list_steps():
        row = [" + ".join(str(step.name).lower() for step in Step if step in steps)]
        for kind, constant in constants.items():
            drawn = steps
            if steps not in set(Step):
                drawn = fit_steps(
                    steps, kind, constant, exponent_range=2, takes_any_byte=True
                ).steps
            try:
                row.append(f"{_time_steps(drawn, kind, constant, threads):.3f}")
            except PayloadError:
                row.append("-")
        rows.append(row)
    return format_table(["ns an element", *(kind.name.lower() for kind in TYPES)], rows)


def list_steps() -> list[Step]:
    """Every step that stands alone, then the recipes' combinations."""
    drawn = {
        steps
        for recipe in PRESETS.values()
        for steps in (recipe.hidden, recipe.ends, recipe.biases, recipe.scales)
    }
    alone = [step for step in Step if step != Step.FRACTION]  # A mask's.
    return [*alone, *sorted(steps for steps in drawn - set(Step) if steps)]


def _make_constant(kind: ElementType, shape: tuple[int, int, int]) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=shape)
    if kind.is_float:
        return values.astype(kind.dtype)
    return (values.clip(-3, 3) * 40).astype(np.int8).view(kind.dtype)


def _time_copy(constant: np.ndarray) -> float:
    copy = constant.copy()
    return _shortest_ns(lambda: np.copyto(copy, constant), constant.size)


def _time_fingerprint(constant: np.ndarray) -> float:
    data = constant.tobytes()
    return _shortest_ns(lambda: native.fingerprint(data), constant.size)


def _time_steps(
    steps: Step, kind: ElementType, constant: np.ndarray, threads: int
) -> float:
    stored = None
    if steps & Step.SET:
        channels = tuple(range(0, _CHANNELS, 10))  # a lock-trained tenth
        stored = SetValues(channels, np.zeros(len(channels), kind.dtype))
    data = constant.tobytes()
    record = TensorLock(
        0,
        0,
        kind,
        constant.shape,
        steps,
        exponent_range=2 if steps & Step.EXPONENTS else 0,
        window=(find_window(kind, constant) or 0) if steps & Step.MASK else 0,
        fingerprint=native.fingerprint(data),
        set_values=stored,
    )
    payload = pack_lock(ModelLock(bytes(32), (record,)))
    public = write_file([b"", data], [[TinyTensor(1)]])
    model = bytearray(public)

    def renew() -> None:
        model[:] = public

    return _shortest_ns(
        lambda: native.restore_buffer(model, payload, threads=threads),
        constant.size,
        renew,
    )


def _shortest_ns(
    call: Callable[[], object],
    elements: int,
    renew: Callable[[], object] = lambda: None,
) -> float:
    """The shortest of some calls, an element: what the code takes, undisturbed."""
    times = []
    for _ in range(_REPEATS):
        renew()
        started = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - started)
    return min(times) / elements


if __name__ == "__main__":
    main()
