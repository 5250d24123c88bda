"""Looks a printer, and this computer, over: what works, what does not, and what to do about it."""

from __future__ import annotations

from .finding import Finding, Verdict
from .machine import look_at_machine
from .visit import Visit, look_at_printer

__all__ = ["Finding", "Verdict", "Visit", "look_at_machine", "look_at_printer"]
