"""The tests with every optimisation off, as a user has it with `careful`: ``make test CAREFUL=1``.

What the driver does unless it is told otherwise is changed here, for this process and for those that are started as
`program`. A test that is about an optimisation asks for it, or has the mark ``about_optimisations``.
"""

from __future__ import annotations

import dataclasses
import os
import runpy
import sys
from pathlib import Path

IS_ON = os.environ.get("CAREFUL", "") not in ("", "0")


def program(module: str = "bambufs") -> list[str]:
    """How to call the driver, or another module that has its command line, in a process of its own."""
    return [sys.executable, str(Path(__file__).resolve()) if IS_ON else "-m", module]


def become() -> None:
    """Make the driver careful in this process, where nobody says otherwise."""
    from bambufs.config import Config, settings
    from bambufs.printer.card import Card
    from bambufs.printer.session import Manners
    from bambufs.vfs.settings import Settings

    _set_default(Config, "careful", True)
    _set_default(Manners, "pipelines", False)
    _set_default(Settings, "looks_ahead", False)
    settings._BUILT_IN["careful"] = True
    (Card.__init__.__kwdefaults__ or {})["overlaps"] = False


def _set_default(kind: type, name: str, value: object) -> None:
    """Change what the field ``name`` of a dataclass is when it is not given."""
    optional = [field.name for field in dataclasses.fields(kind) if _is_optional(field)]
    constructor = kind.__init__  # type: ignore[misc]
    defaults = list(constructor.__defaults__ or ())
    assert len(defaults) == len(optional)
    defaults[optional.index(name)] = value
    constructor.__defaults__ = tuple(defaults)


def _is_optional(field: dataclasses.Field[object]) -> bool:
    return not (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    become()
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
