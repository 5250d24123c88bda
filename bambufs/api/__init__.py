"""The Python interface: a printer's files and prints, without a mount.

    from bambufs import Printer

    with Printer("192.168.1.50", access_code="12345678") as printer:
        for entry in printer.scandir("/timelapse"):
            print(entry.name, entry.size, entry.modified)
        printer.download("/timelapse/video_2025-06-15_12-30-00.avi", "~/Videos/")
        printer.upload("benchy.gcode.3mf", "/cache/")
        printer.start_print("/cache/benchy.gcode.3mf", plate=1, timelapse=True)
        outcome = printer.wait_for_print()
        print(outcome.sentence)

Paths on the printer are absolute on its card, with slashes; a relative one counts from the top. What goes wrong is an
`OSError`: Python's own (`FileNotFoundError`, `FileExistsError`, `IsADirectoryError`, ...) for facts about a path, and a
subclass of `bambufs.errors.PrinterError` for facts about the printer, each with a sentence that says what to do.
"""

from __future__ import annotations

from ..printer.outcome import PrintOutcome
from ..printer.state import PrinterState
from .files import Progress
from .names import FileInfo
from .printer import Printer, PrintOptions

__all__ = ["FileInfo", "PrintOptions", "PrintOutcome", "Printer", "PrinterState", "Progress"]
