"""Mounts the storage of a Bambu Lab 3D printer as a folder, and offers the same to Python programs.

`from bambufs import Printer` is the Python interface; see `bambufs.api`. It is loaded when it is asked for, so that
`import bambufs` is quick and needs neither libfuse nor a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import FileInfo, Printer, PrinterState, PrintOptions, PrintOutcome, Progress

__version__ = "0.1.0"

__all__ = ["FileInfo", "PrintOptions", "PrintOutcome", "Printer", "PrinterState", "Progress", "__version__"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
