"""What the kernel tells of the process behind a request: is it being ended, does somebody want it to stop?"""

from __future__ import annotations

import os
import signal

_PF_SIGNALED = 0x400  # of the kernel's task flags: being ended by a signal
_FLAGS_FIELD = 6  # in /proc/PID/stat, counted from the state behind the name

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGKILL)
_STOPPING_MASK = sum(1 << (number - 1) for number in _STOPPING)


def was_killed(pid: int) -> bool:
    """Whether the process (or thread) ``pid`` is being ended by a signal, so that what it wrote may be half a file."""
    try:
        fields = _told(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return bool(int(fields[_FLAGS_FIELD]) & _PF_SIGNALED)
    except (OSError, ValueError, IndexError):
        return False


def is_told_to_stop(pid: int) -> bool:
    """Whether a signal that asks to stop waits for ``pid``; True also when that cannot be told.

    The kernel interrupts a request for any signal with a handler. A window that changes its size, say, must not
    make an editor's save fail, while Ctrl-C must give the shell back.
    """
    try:
        lines = _told(f"/proc/{pid}/status").splitlines()
        pending = [line.split()[1] for line in lines if line.startswith((b"SigPnd:", b"ShdPnd:"))]
        return any(int(mask, 16) & _STOPPING_MASK for mask in pending)
    except (OSError, ValueError, IndexError):
        return True


def _told(file: str) -> bytes:
    """What a small file of the kernel tells; without what an object for a file costs."""
    number = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(number, 8192)
    finally:
        os.close(number)
