"""The record of every command that a simulated printer received, in order.

Safe for many threads. The access code is never in it: the argument of PASS is masked.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Command:
    """One FTP command: who sent it, what it said, and the reply lines it has had so far.

    `session` counts the accepted control connections of a printer from 1. A command that is
    still being carried out has no final reply yet, so `reply` may be a 1xx line or empty.
    """

    session: int
    verb: str
    argument: str
    replies: tuple[str, ...] = ()

    @property
    def reply(self) -> str:
        """The last reply line, without its line end; empty while there is none."""
        return self.replies[-1] if self.replies else ""


class CommandLog:
    """Commands in the order of their arrival."""

    def __init__(self) -> None:
        self._commands: list[Command] = []
        self._changed = threading.Condition()

    def add(self, *, session: int, verb: str, argument: str) -> int:
        """Append a command and return its position, by which replies are added to it."""
        shown = "****" if verb == "PASS" else argument
        with self._changed:
            self._commands.append(Command(session, verb, shown))
            self._changed.notify_all()
            return len(self._commands) - 1

    def add_reply(self, position: int, reply: str) -> None:
        """Add one reply line to the command at ``position``."""
        with self._changed:
            command = self._commands[position]
            self._commands[position] = replace(command, replies=(*command.replies, reply))
            self._changed.notify_all()

    def snapshot(self) -> list[Command]:
        """The commands up to now."""
        with self._changed:
            return list(self._commands)

    def wait_for(self, verb: str, *, count: int = 1, timeout: float = 10.0) -> list[Command]:
        """Wait until ``verb`` has arrived ``count`` times, and return those commands.

        Raises `TimeoutError` after ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._of_locked(verb)) >= count, timeout):
                raise TimeoutError(f"{verb} did not arrive {count} times within {timeout} s")
            return self._of_locked(verb)

    def _of_locked(self, verb: str) -> list[Command]:
        return [command for command in self._commands if command.verb == verb]
