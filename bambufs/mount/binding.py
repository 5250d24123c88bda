"""The FUSE library and its Python binding: picks one and evens out their differences.

The only module that knows that there are two: `mfusepy` on libfuse 3, taken when both are there, and `fusepy` on
libfuse 2. What is evened out, each seen by running it:

- fusepy decodes names strictly, so both get a codec that keeps bytes that are not UTF-8;
- mfusepy drops the flags of rename (an exchange would destroy a file) and the handle of ftruncate;
- both hand UTIME_NOW and UTIME_OMIT through as times near 1970;
- fusepy creates files without their flags, and libfuse 2 wants to be told of big writes and of O_TRUNC in open;
- a signal ends libfuse 3 with code 8, libfuse 2 with 0.
"""

from __future__ import annotations

import codecs
import ctypes
import ctypes.util
import functools
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import UsageError
from .adapter import Adapter
from .calls import Calls2, Calls3
from .settings import MAX_BACKGROUND, SHORTLY_HELD

EXIT_NO_FUSE = 6

_CODEC = "bambufs-names"
_WITH_MAX_THREADS = 12  # of libfuse 3
_TICKS = 0.03
"""Seconds by which the kernel's clock for what it holds may be late: two ticks of the slowest."""

_VERBS = (
    *("access", "chmod", "chown", "create", "destroy", "flush", "fsync", "fsyncdir", "getattr", "link", "mkdir"),
    *("mknod", "open", "opendir", "read", "release", "releasedir", "rename", "rmdir", "statfs", "symlink"),
    *("truncate", "unlink", "utimens", "write"),
)


def _find_codec(name: str) -> codecs.CodecInfo | None:
    """UTF-8 that carries other bytes as surrogate escapes, by a name of its own."""
    if name not in (_CODEC, _CODEC.replace("-", "_")):
        return None
    return codecs.CodecInfo(
        lambda text, errors="strict": (text.encode("utf-8", "surrogateescape"), len(text)),
        lambda data, errors="strict": (bytes(data).decode("utf-8", "surrogateescape"), len(data)),
        name=_CODEC,
    )


codecs.register(_find_codec)


class Library(Protocol):
    """One FUSE library with its binding."""

    name: str

    def run(self, adapter: Adapter, mountpoint: str, options: dict[str, Any]) -> int:
        """Mount and serve until unmounted; returns libfuse's exit code."""


class _Operations:
    """What a binding calls: the adapter's verbs under the names the bindings look for."""

    use_ns = True
    flag_utime_omit_ok = 1
    # Without paths in the verbs that have a handle, libfuse holds no path lock during them; else a rename would wait
    # for a long upload inside libfuse, where Ctrl-C does not reach it.
    flag_nopath = 1
    flag_nullpath_ok = 1

    def __init__(self, adapter: Adapter) -> None:
        for verb in _VERBS:
            setattr(self, verb, getattr(adapter, verb))
        self.adapter = adapter
        self.readdir = adapter.names  # so that a binding passes it on

    def init(self, path: str) -> None:
        """The mount is up."""
        self.adapter.mounted()


class _CallableOperations(_Operations):
    """The same for fusepy, which calls the object itself."""

    def __call__(self, verb: str, *arguments: Any) -> Any:
        return getattr(self, verb)(*arguments)


class _Fuse2:
    """fusepy on libfuse 2."""

    name = "fuse2"

    def __init__(self) -> None:
        import fuse

        self._fuse = fuse
        self._class = type("Fuse", (Calls2, fuse.FUSE), {"stat_type": fuse.c_stat})

    def run(self, adapter: Adapter, mountpoint: str, options: dict[str, Any]) -> int:
        """Mount and serve; see `Library`."""
        adapter.attach(
            *_signals(self._fuse), lambda path: time.sleep(SHORTLY_HELD + _TICKS), forgets_at_once=False
        )
        options = {"big_writes": True, "atomic_o_trunc": True, "nonempty": True, **options}
        # The kernel asks five times for each line of ls -l when it may hold nothing. It cannot be told to forget, so it
        # is waited for when what a killed writer has written is dropped.
        options |= {"attr_timeout": min(SHORTLY_HELD, options["attr_timeout"]), "max_background": MAX_BACKGROUND}
        for unknown in ("max_threads", "max_idle_threads"):
            options.pop(unknown)
        return _served(lambda: self._class(_CallableOperations(adapter), mountpoint, encoding=_CODEC, **options))


class _Fuse3:
    """mfusepy on libfuse 3."""

    name = "fuse3"

    def __init__(self) -> None:
        os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
        import mfusepy

        self._fuse = mfusepy
        self._class = type("Fuse", (Calls3, mfusepy.FUSE), {"stat_type": mfusepy.c_stat})

    def run(self, adapter: Adapter, mountpoint: str, options: dict[str, Any]) -> int:
        """Mount and serve; see `Library`."""
        adapter.attach(*_signals(self._fuse), functools.partial(_forget, self._fuse))
        if self._fuse.fuse_version_minor < _WITH_MAX_THREADS:  # it has no bound then, and refuses what it does not know
            options = {name: value for name, value in options.items() if name != "max_threads"}
        return _served(lambda: self._class(_Operations(adapter), mountpoint, **options))


def _signals(module: Any) -> tuple[Callable[[], bool], Callable[[], int]]:
    """Whether the present request was interrupted, and the process that sent it; both as libfuse tells."""
    interrupted = module._libfuse.fuse_interrupted
    interrupted.restype = ctypes.c_int
    return lambda: bool(interrupted()), lambda: int(module.fuse_get_context()[2])


def _forget(module: Any, path: str) -> None:
    """Make the kernel forget what it holds of ``path``; inside a request only."""
    forget = module._libfuse.fuse_invalidate_path
    forget.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    forget(module._libfuse.fuse_get_context().contents.fuse, path.encode("utf-8", "surrogateescape"))


def _served(mount: Callable[[], object]) -> int:
    try:
        mount()
    except RuntimeError as ended:
        return int(ended.args[0]) if ended.args and isinstance(ended.args[0], int) else 1
    return 0


def available() -> list[str]:
    """The libraries that could be used here, best first: ``fuse3``, ``fuse2``."""
    found = []
    if ctypes.util.find_library("fuse3") and _has_module("mfusepy"):
        found.append("fuse3")
    if ctypes.util.find_library("fuse") and _has_module("fuse"):
        found.append("fuse2")
    return found


def _has_module(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def choose(wanted: str | None = None) -> Library:
    """The library ``wanted`` (``fuse2`` or ``fuse3``), or the best there is; raises `UsageError` when there is none."""
    if not os.path.exists("/dev/fuse"):
        raise UsageError("this machine has no /dev/fuse; load the kernel's fuse module: modprobe fuse", EXIT_NO_FUSE)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise UsageError("you may not use /dev/fuse; as root: chmod 666 /dev/fuse, or mount as root", EXIT_NO_FUSE)
    found = available()
    if wanted is not None and wanted not in found:
        raise UsageError(f"{wanted} is not installed here; there is: {', '.join(found) or 'neither'}", EXIT_NO_FUSE)
    if not found:
        raise UsageError(
            "FUSE is not installed. On Debian and Ubuntu: apt install fuse3 libfuse3-3 (or libfuse2)", EXIT_NO_FUSE
        )
    return _Fuse3() if (wanted or found[0]) == "fuse3" else _Fuse2()
