"""A systemd of one's own: a user manager in private namespaces, which sees and touches nothing of this machine's.

It is a user's manager and not the system's, since that one would clear /tmp and start services. Run by root it has all
that a system's service needs. What it starts ends with it: its processes have a process number space of their own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.sandbox import LET_GO_OF_FUSE

MANAGER = Path("/lib/systemd/systemd")
_HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")

_SCRIPT = """\
set -eu
mount --make-rprivate /
{let_go}
mount -t tmpfs none /run
# As a booted machine has it: systemd mounts the credentials of a service from a namespace below this one.
mount --make-rshared /
mkdir -p /run/systemd/system
mount -t tmpfs none /var/lib
export XDG_RUNTIME_DIR=/run/user
mkdir -m 700 $XDG_RUNTIME_DIR
{manager} --user --unit=basic.target </dev/null >manager.log 2>&1 &
tries=0
until systemctl --user is-system-running --quiet 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || {{ cat manager.log; exit 99; }}
    sleep 0.1
done
{lines}
"""


def missing() -> str:
    """Return why no systemd can run here, or an empty string."""
    if os.geteuid() != 0:
        return "a systemd of its own needs root (try: sudo make test)"
    if not MANAGER.exists():
        return "systemd is not installed"
    if not _hierarchies():
        return "this container may not make control groups, so no systemd can run in it"
    return ""


def run(lines: str, folder: Path, *, seconds: float = 90.0) -> subprocess.CompletedProcess[str]:
    """Run shell ``lines`` beside a manager that reads its units from ``folder``/.config/systemd/user."""
    groups = [Path(root, f"bambufs-{os.getpid()}") for root in _hierarchies()]
    script = _SCRIPT.format(let_go=LET_GO_OF_FUSE, manager=MANAGER, lines=lines)
    inside = ["unshare", "--mount", "--pid", "--cgroup", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]
    try:
        for group in groups:
            group.mkdir()
        enter = "".join(f"echo $$ >{group}/cgroup.procs; " for group in groups)
        clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C"}
        return subprocess.run(
            ["sh", "-c", f'{enter}exec "$@"', "sh", *inside],
            cwd=folder, env=clean, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
    finally:
        for group in groups:
            _remove(group)


def _hierarchies() -> list[str]:
    """The control group hierarchies that a systemd uses and in which we may make groups."""
    found = [root for root in _HIERARCHIES if os.access(Path(root, "cgroup.procs"), os.W_OK)]
    return found if all(map(_can_hold_groups, found)) else []


def _can_hold_groups(root: str) -> bool:
    group = Path(root, f"bambufs-probe-{os.getpid()}")
    try:
        group.mkdir()
        group.rmdir()
    except OSError:
        return False
    return True


def _remove(group: Path) -> None:
    """Remove a control group and those below it, whose processes have ended."""
    for folder, _, _ in os.walk(group, topdown=False):
        Path(folder).rmdir()
