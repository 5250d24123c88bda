"""Which files the control folder of a mount has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from .. import __version__
from ..config import Config
from ..printer import paths
from ..vfs.control import ControlFile, LineSink
from ..vfs.filesystem import FileSystem

_README = """\
This folder belongs to bambufs; it is not on the printer.

  transfers    uploads that run, that failed, and what was kept of them
  refresh      write a path (or nothing) to it: forget what is remembered, and ask the printer again
  stats        what bambufs is doing, as JSON
  README       this text
"""


def control_files(filesystem: FileSystem, config: Config) -> dict[str, ControlFile]:
    """The control files by name."""
    return {
        "README": ControlFile(lambda: _README.encode()),
        "transfers": ControlFile(lambda: filesystem.transfers().encode("utf-8", "surrogateescape")),
        "refresh": ControlFile(lambda: b"", lambda: LineSink(_refresher(filesystem))),
        "stats": ControlFile(lambda: _stats(filesystem, config)),
    }


def _refresher(filesystem: FileSystem) -> Callable[[str], None]:
    def refresh(line: str) -> None:
        path = "/" + "/".join(paths.parts(line))
        filesystem.forget(path)

    return refresh


def _stats(filesystem: FileSystem, config: Config) -> bytes:
    told = {"version": __version__, "pid": os.getpid(), "printer": config.host, **filesystem.statistics()}
    return (json.dumps(told, indent=1) + "\n").encode()
