"""A network of its own whose cable can be pulled: nothing is refused, nothing is answered, nothing is told.

A relay cannot show that, since the kernel acknowledges what is sent to it. Here the packets themselves are dropped, as
when a printer is switched off or out of the Wi-Fi. Only processes started with `Island.command` are inside.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence

from tests.support.needs import find_program

_DROP = "qdisc replace dev lo root pfifo limit 0"
_PASS = "qdisc del dev lo root"


class Island:
    """The network namespace of the process ``holder``, in which 127.0.0.1 is up."""

    def __init__(self, holder: int) -> None:
        self._holder = holder

    def command(self, *command: str) -> list[str]:
        """The command that runs another one inside."""
        return ["nsenter", f"--net=/proc/{self._holder}/ns/net", *command]

    def pull_the_cable(self) -> None:
        """Drop every packet from now on."""
        self._traffic_control(_DROP)

    def plug_it_in(self) -> None:
        """Let them pass again."""
        self._traffic_control(_PASS)

    def _traffic_control(self, words: str) -> None:
        subprocess.run(self.command(find_program("tc") or "tc", *words.split()), check=True, capture_output=True)


@contextlib.contextmanager
def island() -> Iterator[Island]:
    """Make one for the ``with`` block. Needs root."""
    ip = find_program("ip") or "ip"
    hold = ["unshare", "--net", "sh", "-c", f"{ip} link set lo up && echo up && exec cat"]
    holder = subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != b"up\n":
            raise RuntimeError("cannot make a network namespace")
        yield Island(holder.pid)
    finally:
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()


def why_not() -> str:
    """Why there can be none on this machine, or an empty string."""
    if os.geteuid() != 0:
        return "a network whose cable can be pulled needs root"
    lacking = [name for name in ("ip", "tc", "unshare", "nsenter") if find_program(name) is None]
    if lacking:
        return f"{lacking[0]} is not installed"
    tried = subprocess.run(["unshare", "--net", "sh", "-c", _trial()], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this machine cannot make a network whose cable can be pulled"


def _trial() -> str:
    tc = find_program("tc")
    steps: Sequence[str] = (f"{find_program('ip')} link set lo up", f"{tc} {_DROP}", f"{tc} {_PASS}")
    return " && ".join(steps)
