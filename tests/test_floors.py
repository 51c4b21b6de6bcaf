"""The house by floors (imports only point down), checked from the import statements."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# First match counts. Modules with the same floor may import each other.
FLOORS = [
    ("edgepro_tf.cli", 5),
    ("converters", 4),
    ("edgepro_tf.audit", 4),
    ("edgepro_tf.training", 3),
    ("edgepro_tf.locking", 3),
    ("edgepro_tf.runtime", 3),
    ("edgepro_tf.layers", 2),
    ("edgepro_tf.selection", 2),
    ("edgepro_tf.placement", 2),
    ("edgepro_tf.presets", 2),
    ("edgepro_tf.objectives", 2),
    ("edgepro_tf.datasets", 2),
    ("edgepro_tf.zoo", 2),
    ("edgepro_tf.sidecar", 2),
    ("edgepro_tf.folding", 1),
    ("edgepro_tf.graph", 1),
    ("edgepro_tf.payload", 1),
    ("edgepro_tf.native", 1),
    ("edgepro_tf.files", 1),
    ("edgepro_tf", 0),
]
WITHOUT_TENSORFLOW = (
    "edgepro_tf.runtime",
    "edgepro_tf.sidecar",
    "edgepro_tf.payload",
    "edgepro_tf.native",
    "edgepro_tf.files",
    "edgepro_tf.locks",
    "edgepro_tf.errors",
)
HEAVY = ("tensorflow", "keras")


def source_modules() -> list[tuple[str, Path]]:
    paths = [
        path
        for package in ("edgepro_tf", "converters")
        for path in sorted((ROOT / package).rglob("*.py"))
    ]
    return [
        (
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
                ".__init__"
            ),
            path,
        )
        for path in paths
    ]


def floor_of(module: str) -> int | None:
    for prefix, floor in FLOORS:
        if module == prefix or module.startswith(prefix + "."):
            return floor
    return None


def imports_of(path: Path) -> set[str]:
    """Modules imported anywhere in the file, not those only for type checking."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if floor_of(node.module) is not None:
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("module, path", source_modules())
def test_imports_point_down(module: str, path: Path) -> None:
    own = floor_of(module)
    assert own is not None
    for imported in imports_of(path):
        theirs = floor_of(imported)
        assert theirs is None or theirs <= own, f"{module} imports {imported}"


@pytest.mark.parametrize("module, path", source_modules())
def test_the_device_side_never_names_tensorflow(module: str, path: Path) -> None:
    if not module.startswith(WITHOUT_TENSORFLOW):
        pytest.skip("may import TensorFlow")
    for imported in imports_of(path):
        assert not imported.startswith(HEAVY), f"{module} imports {imported}"


@pytest.mark.parametrize(
    "module",
    [
        "edgepro_tf",
        "edgepro_tf.runtime",
        "edgepro_tf.sidecar",
        "edgepro_tf.payload",
        "edgepro_tf.native",
        "edgepro_tf.cli.main",
    ],
)
def test_imports_with_tensorflow_blocked(module: str) -> None:
    run_without_tensorflow(f"import {module}")


def test_the_command_line_opens_with_tensorflow_blocked() -> None:
    """All commands' flags: a device has the runtime alone."""
    run_without_tensorflow("from edgepro_tf.cli.main import make_parser; make_parser()")


def run_without_tensorflow(code: str) -> None:
    block = f"import sys; sys.modules.update(dict.fromkeys({HEAVY})); {code}"
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_files_stay_small() -> None:
    for _, path in source_modules():
        lines = len(path.read_text().splitlines())
        assert lines <= 400, f"{path} has {lines} lines"
