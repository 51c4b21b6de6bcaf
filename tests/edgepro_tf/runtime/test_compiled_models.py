"""LiteRT's CompiledModel over the golden pair; skipped where there is none."""

import contextlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgepro_tf.errors import InterpreterError, WrongModelError
from edgepro_tf.runtime import compiled_models, open_compiled_model
from tests.runtime_only.test_golden_pair import (
    GOLDEN,
    KEYS,
    MODEL,
    SIDECAR,
    damage,
    golden_samples,
)

AUTHORIZED = GOLDEN / "authorized.tflite"
HAS_COMPILED_MODEL = compiled_models.has_compiled_model()

needs_compiled_model = pytest.mark.skipif(
    not HAS_COMPILED_MODEL, reason="no ai-edge-litert with CompiledModel"
)


def run_samples(model: Any, x: np.ndarray) -> np.ndarray:
    """Scores sample by sample: the golden model's batch is 1."""
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    classes = golden_samples()[2].shape[-1]
    scores = []
    for sample in x:
        inputs[0].write(np.ascontiguousarray(sample))
        model.run_by_index(0, inputs, outputs)
        scores.append(np.array(outputs[0].read(classes, np.float32)))
    return np.stack(scores)


def memory_file_mappings() -> int:
    return Path("/proc/self/maps").read_text().count("/memfd:model")


def memory_file_descriptors() -> int:
    count = 0
    for link in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            count += os.readlink(f"/proc/self/fd/{link}").startswith("/memfd:model")
    return count


@needs_compiled_model
@pytest.mark.parametrize("as_bytes", [False, True], ids=["path", "bytes"])
def test_restored_equals_authorized_to_the_bit(as_bytes: bool) -> None:
    from ai_edge_litert.compiled_model import CompiledModel

    x, y, _ = golden_samples()
    model = MODEL.read_bytes() if as_bytes else MODEL
    scores = run_samples(open_compiled_model(model, SIDECAR, **KEYS), x)
    authorized = CompiledModel.from_file(str(AUTHORIZED))
    assert np.array_equal(scores, run_samples(authorized, x))
    assert np.mean(np.argmax(scores, -1) == y) > 0.9


@needs_compiled_model
def test_is_mapped_not_copied_and_gone_with_the_model() -> None:
    mappings, descriptors = memory_file_mappings(), memory_file_descriptors()
    model = open_compiled_model(MODEL, SIDECAR, **KEYS)
    assert memory_file_mappings() == mappings + 1
    assert memory_file_descriptors() <= descriptors + 1  # LiteRT's own
    del model
    assert memory_file_mappings() == mappings
    assert memory_file_descriptors() == descriptors


@needs_compiled_model
def test_without_memory_files_a_buffer_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_models, "is_memory_file_supported", lambda: False)
    x, y, _ = golden_samples()
    scores = run_samples(open_compiled_model(MODEL, SIDECAR, **KEYS), x)
    assert np.mean(np.argmax(scores, -1) == y) > 0.9


@needs_compiled_model
def test_the_wrong_model_says_so() -> None:
    with pytest.raises(WrongModelError, match=r"belongs to model .* this file is"):
        open_compiled_model(AUTHORIZED, SIDECAR, **KEYS)


@needs_compiled_model
def test_options_that_write_weights_to_disk_are_refused(tmp_path: Path) -> None:
    cache = SimpleNamespace(xnnpack_weight_cache_path=str(tmp_path))
    with pytest.raises(InterpreterError, match="'xnnpack_weight_cache_path'"):
        open_compiled_model(
            MODEL, SIDECAR, options=SimpleNamespace(cpu_options=cache), **KEYS
        )


@needs_compiled_model
def test_litert_s_own_options_are_seen(tmp_path: Path) -> None:
    options = pytest.importorskip("ai_edge_litert.options", reason="LiteRT before 2.2")
    given = options.Options(
        cpu_options=options.CpuOptions(xnnpack_weight_cache_path=str(tmp_path))
    )
    with pytest.raises(InterpreterError, match="'xnnpack_weight_cache_path'"):
        open_compiled_model(MODEL, SIDECAR, options=given, **KEYS)
    own = options.IntelOpenVinoOptions(configs_map={"CACHE_DIR": str(tmp_path)})
    with pytest.raises(InterpreterError, match="'CACHE_DIR'"):
        given = options.Options(intel_openvino_options=own)
        open_compiled_model(MODEL, SIDECAR, options=given, **KEYS)
    fine = options.Options(cpu_options=options.CpuOptions(num_threads=2))
    assert open_compiled_model(MODEL, SIDECAR, options=fine, **KEYS) is not None


@needs_compiled_model
def test_a_damaged_model_of_the_same_size_says_so() -> None:
    """LiteRT 2.3 does not verify what ``CompiledModel`` opens: it would crash."""
    for seed in range(12):
        damaged = damage(MODEL.read_bytes(), seed)
        with pytest.raises(WrongModelError):
            open_compiled_model(damaged, SIDECAR, **KEYS)


@pytest.mark.skipif(HAS_COMPILED_MODEL, reason="this environment has CompiledModel")
def test_a_runtime_without_it_says_so() -> None:
    with pytest.raises(InterpreterError, match=r"expected ai-edge-litert 2\.0"):
        open_compiled_model(MODEL, SIDECAR, **KEYS)
