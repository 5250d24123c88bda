"""What `.bambufs/transfers` says of files that are owed to the printer, or were put aside."""

from __future__ import annotations

from .handles import Node
from .journal import Journal
from .writeback import WriteBack


def owed_lines(write_back: WriteBack, journal: Journal) -> list[str]:
    """A line for each, for a person; before them one that tells what stands in the way of all."""
    waiting, trouble = write_back.waiting(), write_back.trouble
    number = "1 file waits" if len(waiting) == 1 else f"{len(waiting)} files wait"
    lines = [f"halted   {number}: {trouble}"] if waiting and trouble else []
    lines += [_waiting_line(node, delay, trouble) for node, delay in waiting]
    for record in journal.records("failed"):
        place = journal.file(record)
        if place.exists():
            lines.append(f"kept     {record.path}  its content is in {place} ({record.reason})")
    return lines


def _waiting_line(node: Node, delay: float, trouble: str | None) -> str:
    """What `.bambufs/transfers` says of a file that is owed; the ``trouble`` of all is told already."""
    debt = node.debt
    line = f"waiting  {node.path}  {node.attributes.size} bytes"
    if trouble:
        return line
    if debt is not None and debt.record.reason:
        return f"{line}, tried without success ({debt.record.reason})"
    return f"{line}, to be sent in {delay:.0f} s" if delay > 0 else f"{line}, to be sent next"
