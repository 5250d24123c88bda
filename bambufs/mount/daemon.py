"""The process behind a mount: mount points, going to the background, and telling systemd.

Threads must start after the fork, so everything that makes some is built inside the callable that `detach` runs.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import UsageError

logger = logging.getLogger(__name__)

EXIT_MOUNT_POINT = 5


def prepare_mountpoint(mountpoint: Path, *, may_hold_files: bool = False) -> Path:
    """``mountpoint`` as an absolute path, fit to mount on; the remains of a mount that died are cleaned away.

    Raises `UsageError` when it is missing, no folder, not empty (unless ``may_hold_files``) or mounted already.
    """
    place = Path(os.path.abspath(mountpoint))
    try:
        names = os.listdir(place)
    except FileNotFoundError:
        raise _unfit(f"{place} does not exist; make it first: mkdir -p {place}") from None
    except NotADirectoryError:
        raise _unfit(f"{place} is no folder; choose an empty folder to mount on") from None
    except PermissionError:
        raise _unfit(f"you may not look into {place}; choose a folder of your own") from None
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise _unfit(f"{place} cannot be used: {os.strerror(error.errno or 0).lower()}") from None
        logger.warning("%s: cleaning up after a mount that died", place)
        clean_up(place)
        return prepare_mountpoint(place, may_hold_files=may_hold_files)
    if os.path.ismount(place):
        raise _unfit(f"something is mounted on {place} already; unmount it first: bambufs unmount {place}")
    if names and not may_hold_files:
        raise _unfit(f"{place} is not empty, and a mount would hide what is in it; choose an empty folder")
    if not os.access(place, os.W_OK):
        raise _unfit(f"you may not mount on {place}, since it is not yours to write in")
    return place


def _unfit(message: str) -> UsageError:
    return UsageError(message, EXIT_MOUNT_POINT)


def clean_up(place: Path) -> None:
    """Take the remains of a dead mount off ``place``; raises `UsageError` when that fails."""
    done = _unmount(place, lazily=True)
    if done.returncode != 0:
        raise _unfit(f"a mount died on {place} and its remains cannot be removed: {done.stderr.strip()}")


def unmount(place: Path) -> None:
    """Unmount ``place``; raises `UsageError` with what to do when that fails."""
    done = _unmount(place, lazily=False)
    if done.returncode == 0:
        return
    if "busy" in done.stderr:
        raise _unfit(
            f"a program still uses something in {place}, perhaps a terminal that stands in it (cd elsewhere); "
            f"close it and try again (fuser -vm {place} lists them)"
        )
    raise _unfit(f"{place} cannot be unmounted: {done.stderr.strip() or 'for a reason that was not told'}")


def _unmount(place: Path, *, lazily: bool) -> subprocess.CompletedProcess[str]:
    tool = next((t for t in ("fusermount3", "fusermount") if shutil.which(t)), None)
    if tool is not None:
        command = [tool, "-u", *(["-z"] if lazily else []), "--", str(place)]
    else:
        command = ["umount", *(["-l"] if lazily else []), str(place)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def allow_many_files() -> None:
    """Raise the limit of open files as far as it goes: each file that is open, or owed to the printer, counts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def notify(state: str) -> None:
    """Tell systemd ``state`` (such as ``READY=1``) if it asked to be told; does nothing otherwise."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto(state.encode(), address)


Work = Callable[[Callable[[], None]], int]
"""A mount's whole life: gets what to call once it is ready, returns the exit code."""

Explain = Callable[[Exception], UsageError]


def detach(work: Work, explain: Explain) -> int:
    """Run ``work(ready)`` in a process of its own, and return 0 as soon as it calls ``ready``.

    When it ends before that, its error (made a `UsageError` by ``explain``) is raised here. The new process has a
    session of its own and nothing to do with the terminal once it is ready.
    """
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        _run_detached(work, explain, sending)
    os.close(sending)
    with open(receiving, encoding="utf-8") as report:
        text = report.read()
    if not text:
        os.waitpid(child, 0)
        raise UsageError("the mount ended before it was ready, and left no reason; try --foreground -v", 1)
    said = json.loads(text)
    if said["ready"]:
        return 0
    os.waitpid(child, 0)
    raise UsageError(said["message"], said["exit_code"])


def _run_detached(work: Work, explain: Explain, pipe: int) -> None:
    """The child's life; never returns."""
    code = 1
    reported: list[bool] = []

    def report(said: dict[str, object]) -> None:
        if not reported:
            reported.append(True)
            _report(pipe, said)

    try:
        os.setsid()
        code = work(lambda: report({"ready": True}))
    except Exception as error:
        told = error if isinstance(error, UsageError) else explain(error)
        if reported:
            logger.exception("the mount ended in an unforeseen way")
        report({"ready": False, "message": told.message, "exit_code": told.exit_code})
    finally:
        logging.shutdown()
        os._exit(code)


def _report(pipe: int, said: dict[str, object]) -> None:
    """Tell the parent, and let go of the terminal when all is well."""
    with suppress(OSError):
        os.write(pipe, json.dumps(said).encode())
        os.close(pipe)
    if said["ready"]:
        os.chdir("/")
        sys.stdout.flush()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        os.close(nowhere)
