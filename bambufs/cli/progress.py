"""Progress bars for transfers: on a terminal, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from ..vfs.direct import Watch


def shown_on(console: Console) -> Watch:
    """A bar on ``console`` for each transfer; nothing when that is no terminal."""

    @contextmanager
    def watch(what: str, size: int) -> Iterator[Callable[[int], None]]:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        is_shown = console.is_terminal
        with Progress(*columns, TimeRemainingColumn(), console=console, disable=not is_shown) as progress:
            task = progress.add_task(what, total=size)
            yield lambda done: progress.update(task, completed=done)

    return watch
