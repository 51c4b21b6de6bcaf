"""Models with TensorFlow's own operators, whose delegate the runtime applies first."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import lock_tflite
from edgepro_tf.runtime.delegates import Delegate
from edgepro_tf.runtime.interpreters import (
    Runtime,
    installed_runtimes,
    make_interpreter,
)
from tests.crafted import Crafted

HERE = Path(__file__).parent
CORE = HERE.parents[2] / "edgepro_tf" / "native"
COMPILER = shlex.split(os.environ.get("CC", "cc"))
FLAGS = "-std=c99 -O1 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden"
X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8)

pytestmark = pytest.mark.skipif(
    not shutil.which(COMPILER[0]), reason="needs a C compiler"
)
every_runtime = pytest.mark.parametrize(
    "runtime", installed_runtimes(), ids=lambda runtime: runtime.name
)


def make_model() -> bytes:
    """A dense layer, and behind it an operator of TensorFlow's with a constant."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    hidden = crafted.add_dense(source, crafted.add_weights(8, 8), 8)
    addend = crafted.add_tensor([8], np.arange(1, 9, dtype=np.float32))
    out = crafted.add_tensor([1, 8])
    crafted.add_operator("CUSTOM", [hidden, addend], [out], custom="FlexAddV2")
    return crafted.finish([source], [out])


def load_stand_in(runtime: Runtime, folder: Path, *flags: str) -> Any:
    library = folder / "select_tf.so"
    source = str(HERE / "select_tf.c")
    command = [*COMPILER, *FLAGS.split(), *flags, f"-I{CORE}", source, "-o"]
    subprocess.run([*command, str(library)], check=True)
    return runtime.load().load_delegate(str(library))


def answer(model: bytes, runtime: Runtime, delegates: list[Any]) -> np.ndarray:
    interpreter = make_interpreter(model, delegates=delegates, runtime=runtime)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], X)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@every_runtime
def test_restored_behind_select_tf(runtime: Runtime, tmp_path: Path) -> None:
    original = make_model()
    protected = lock_tflite(original, runs=False)
    assert protected.tensors_protected == 2
    select_tf = load_stand_in(runtime, tmp_path)
    expected = answer(original, runtime, [select_tf])
    public = answer(protected.public, runtime, [select_tf])
    assert not np.array_equal(public, expected)
    delegate = Delegate(protected.payload)
    restored = answer(protected.public, runtime, [select_tf, delegate])
    assert delegate.is_complete
    np.testing.assert_array_equal(restored, expected)


@every_runtime
def test_any_other_delegate_before_it_is_refused(
    runtime: Runtime, tmp_path: Path
) -> None:
    protected = lock_tflite(make_model(), runs=False)
    other = load_stand_in(runtime, tmp_path, '-DDELEGATE_NAME="TfLiteOther"')
    with pytest.raises((RuntimeError, ValueError), match="to be the first"):
        answer(protected.public, runtime, [other, Delegate(protected.payload)])
