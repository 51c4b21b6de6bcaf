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
    ("edgepro_tf.lock_training", 2),
    ("edgepro_tf.datasets", 2),
    ("edgepro_tf.zoo", 2),
    ("edgepro_tf.sidecar", 2),
    ("edgepro_tf.payload", 1),
    ("edgepro_tf.native", 1),
    ("edgepro_tf.flatbuffer", 1),
    ("edgepro_tf.files", 1),
    ("edgepro_tf.inputs", 0),
    ("edgepro_tf", 0),
]
WITHOUT_TENSORFLOW = (
    "edgepro_tf.runtime",
    "edgepro_tf.sidecar",
    "edgepro_tf.flatbuffer",
    "edgepro_tf.payload",
    "edgepro_tf.native",
    "edgepro_tf.files",
    "edgepro_tf.inputs",
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


def is_in(module: str, *packages: str) -> bool:
    return any(module == one or module.startswith(one + ".") for one in packages)


def floor_of(module: str) -> int | None:
    return next((floor for prefix, floor in FLOORS if is_in(module, prefix)), None)


def imports_of(path: Path, *, for_types: bool = False) -> set[str]:
    """Modules imported anywhere in the file; ``for_types``: also for type checking."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        is_if = isinstance(node, ast.If) and not for_types
        if is_if and "TYPE_CHECKING" in ast.unparse(node.test):
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


def below_converters() -> list[tuple[str, Path]]:
    """Modules of edgepro_tf that converters stand on."""
    return [
        (module, path)
        for module, path in source_modules()
        if not is_in(module, "converters", "edgepro_tf.cli")
    ]


@pytest.mark.parametrize("module, path", below_converters())
def test_only_the_command_line_imports_converters(module: str, path: Path) -> None:
    """Not within a function either, and not for type checking."""
    for imported in imports_of(path, for_types=True):
        assert not is_in(imported, "converters"), f"{module} imports {imported}"


def device_side() -> list[tuple[str, Path]]:
    return [
        (module, path)
        for module, path in source_modules()
        if is_in(module, *WITHOUT_TENSORFLOW)
    ]


@pytest.mark.parametrize("module, path", device_side())
def test_the_device_side_never_names_tensorflow(module: str, path: Path) -> None:
    for imported in imports_of(path):
        assert not imported.startswith(HEAVY), f"{module} imports {imported}"


@pytest.mark.parametrize("module, path", device_side())
def test_the_device_side_is_whole(module: str, path: Path) -> None:
    """What it imports of ours is on the list itself, and so is looked at too."""
    ours = {one for one in imports_of(path) if is_in(one, "edgepro_tf", "converters")}
    for imported in ours - {"edgepro_tf"}:
        assert is_in(imported, *WITHOUT_TENSORFLOW), f"{module} imports {imported}"


@pytest.mark.parametrize(
    "module",
    [
        "edgepro_tf",
        "edgepro_tf.runtime",
        "edgepro_tf.sidecar",
        "edgepro_tf.flatbuffer.schema",
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
    folders = ("edgepro_tf", "converters", "benchmarks", "examples", "scripts", "tests")
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= 400, f"{path} has {lines} lines"
