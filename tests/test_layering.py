"""Imports go down only: cli -> mount, api -> vfs -> printer -> errors, config, log. The simulator stands alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bambufs

ROOT = Path(bambufs.__file__).parent

# Each layer, and what it may import of the package besides itself.
GROUND = {"errors", "config", "log", "interrupts"}
ALLOWED = {
    "errors": set(),
    "log": {"errors"},
    "interrupts": {"errors"},
    "config": {"errors", "log"},
    "printer": GROUND,
    "vfs": GROUND | {"printer"},
    "mount": GROUND | {"printer", "vfs"},
    "doctor": GROUND | {"printer", "vfs", "mount"},
    "api": GROUND | {"printer", "vfs"},
    "fsspec": {"errors", "api"},
    "thumbnailer": {"errors", "printer"},
    "cli": GROUND | {"printer", "vfs", "mount", "api", "doctor", "simulator"},
    "simulator": set(),
    "__main__": {"cli"},
    "__init__": {"api"},
}

# Libraries with one door each; the simulator speaks for itself.
DOORS = {
    "ftplib": {"printer/download.py", "printer/wire.py", "printer/replies.py"},
    "ssl": {
        "printer/session.py",
        "printer/download.py",
        "printer/wire.py",
        "printer/sockets.py",
        "printer/outflow.py",
        "printer/replies.py",
        "printer/trust.py",
        "printer/link.py",
        "printer/linkproblems.py",
        "printer/linktls.py",
    },
    "paho": {"printer/link.py"},
    "fuse": {"mount/binding.py"},
    "mfusepy": {"mount/binding.py"},
    "fsspec": {"fsspec.py"},
}


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def layer_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of every module or name that ``path`` imports, wherever in the file."""
    package = ["bambufs", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def layers_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imported(path)]
    return {part[1] for part in parts if part[0] == "bambufs" and len(part) > 1}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_down_only(path: Path) -> None:
    layer = layer_of(path)

    upward = layers_imported(path) - ALLOWED[layer] - {layer, "__version__"}

    assert not upward, f"{name_of(path)} ({layer}) must not import {upward}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_each_library_has_one_door(path: Path) -> None:
    libraries = {name.split(".")[0] for name in imported(path)} & set(DOORS)

    if layer_of(path) != "simulator":
        assert {library for library in libraries if name_of(path) not in DOORS[library]} == set()


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_only_the_simulator_needs_the_demo_libraries(path: Path) -> None:
    libraries = {name.split(".")[0] for name in imported(path)}

    if layer_of(path) != "simulator":
        assert not libraries & {"amqtt", "pyftpdlib", "trustme"}


def test_relative_imports_are_seen_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    module = tmp_path / "printer" / "card.py"
    module.parent.mkdir()
    lines = ["from ..vfs import handles", "from . import pool", "import bambufs.mount.daemon"]
    module.write_text("def f():\n    " + "\n    ".join(lines))

    assert layers_imported(module) == {"vfs", "printer", "mount"}


def test_importing_the_package_needs_no_libfuse() -> None:
    program = (
        "import sys; sys.modules['fuse'] = sys.modules['mfusepy'] = None\n"
        "import bambufs, bambufs.cli, bambufs.config\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
