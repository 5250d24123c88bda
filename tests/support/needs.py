"""What this machine has to have for a test, and what happens when it has not.

In continuous integration (``CI=true``) something missing is a failure, since nobody would
notice a skipped test there. Elsewhere it is a skip that says what to install.
"""

from __future__ import annotations

import ctypes.util
import functools
import importlib.util
import os
import shutil
from collections.abc import Callable

import pytest

from tests.support.sandbox import can_unshare


def need(*things: str) -> None:
    """Skip the test (or fail it in CI) unless this machine has all ``things``.

    A thing is ``vsftpd``, ``mosquitto``, ``fuse2``, ``fuse3``, ``island``, or the name of a program.
    """
    reasons = [reason for reason in map(missing, things) if reason]
    if not reasons:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("; ".join(reasons), pytrace=False)
    pytest.skip("; ".join(reasons))


@functools.cache
def missing(thing: str) -> str:
    """Return why ``thing`` is not to be had, or an empty string when it is."""
    return _CHECKS.get(thing, lambda: program(thing))()


def program(name: str) -> str:
    """Return why the program ``name`` cannot be run, or an empty string."""
    return "" if find_program(name) else f"{name} is not installed"


def find_program(name: str) -> str | None:
    """Return the path of ``name``, also when it lies where only root's PATH leads."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _vsftpd() -> str:
    if os.geteuid() != 0:
        return "vsftpd needs root to log its clients in (try: sudo make test)"
    return program("vsftpd") or program("openssl") or _sandbox()


def _mosquitto() -> str:
    return program("mosquitto") or program("mosquitto_passwd") or _sandbox()


def _sandbox() -> str:
    return "" if can_unshare() else "this container may not make namespaces (unshare)"


def _fuse(library: str, module: str) -> str:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be opened"
    if not ctypes.util.find_library(library):
        return f"lib{library} is not installed"
    if importlib.util.find_spec(module) is None:
        return f"the Python package {module} is not installed"
    return program("fusermount3")


def _island() -> str:
    from tests.support import island  # which asks here for programs

    return island.why_not()


_CHECKS: dict[str, Callable[[], str]] = {
    "island": _island,
    "vsftpd": _vsftpd,
    "mosquitto": _mosquitto,
    "fuse2": lambda: _fuse("fuse", "fuse"),
    "fuse3": lambda: _fuse("fuse3", "mfusepy"),
}
