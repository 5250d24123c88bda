"""Questions to the person at the terminal; without one, or with --yes, the suggestion is the answer."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

from ..errors import UsageError


class Asking:
    """``may_ask`` is False with --yes, or without a terminal."""

    def __init__(self, *, quietly: bool) -> None:
        self.may_ask = not quietly and sys.stdin.isatty() and sys.stdout.isatty()

    def text(self, question: str, suggestion: str, check: Callable[[str], None] = lambda text: None) -> str:
        """An answer that ``check`` does not refuse with a `UsageError`; Enter takes the ``suggestion``."""
        if not self.may_ask:
            check(suggestion)
            return suggestion
        while True:
            answer = input(f"{question} [{suggestion}] " if suggestion else f"{question} ").strip() or suggestion
            try:
                check(answer)
                return answer
            except UsageError as error:
                print(f"  {error.message}")

    def yes(self, question: str, *, suggestion: bool) -> bool:
        """Whether the answer is yes."""
        if not self.may_ask:
            return suggestion
        while True:
            answer = input(f"{question} [{'Y/n' if suggestion else 'y/N'}] ").strip().lower()
            if not answer:
                return suggestion
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")
            print("  Please answer y or n.")

    def secret(self, question: str) -> str:
        """An answer that is not shown while it is typed."""
        return getpass.getpass(f"{question} ").strip()
