"""What libfuse and the kernel are told about a mount: for how long an answer holds, and how much may go on at once."""

from __future__ import annotations

from typing import Any

LONGEST_HELD = 1.0
"""Seconds for which the kernel may answer by itself what it was told of a file."""

SHORTLY_HELD = 0.05
"""The same with libfuse 2, which cannot make it forget: for about as long as a program looks at one file."""

MAX_BACKGROUND = 128
"""Reads ahead that the kernel may have open at once. With its 12, a dozen files that wait for a connection keep the
reader that has one from going on: 64 readers took 58 s for what takes 1."""

LARGEST_REQUEST = 256 * 1024
"""Bytes in a read or write with libfuse 3. Its 1 MiB is not cheaper for each byte, 128 KiB is dearer by half; and each
of its threads keeps room for one."""


def fuse_options(host: str, ttl: float, *, read_only: bool = False, allow_other: bool = False) -> dict[str, Any]:
    """The options of a mount of ``host`` whose listings hold for ``ttl`` seconds.

    The kernel may hold nothing for longer than we do ourselves. That a name is absent it may not remember at all: files
    also come in by the control folder, and own changes show at once.
    """
    held = min(LONGEST_HELD, ttl)
    return {
        "foreground": True,
        "fsname": f"bambufs:{host}",
        "subtype": "bambufs",
        "attr_timeout": held,
        "entry_timeout": held,
        "negative_timeout": 0,
        "default_permissions": True,
        "max_threads": 256,  # each reader that waits for its turn takes one, and the others must not wait for it
        "max_idle_threads": 16,
        **({"ro": True} if read_only else {}),
        **({"allow_other": True} if allow_other else {}),
    }
