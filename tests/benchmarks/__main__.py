"""Run the benchmark: ``python -m tests.benchmarks --json FILE``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.report import Results, Sample, save, show
from tests.benchmarks.servers import SERVERS, Site
from tests.benchmarks.workloads import WORKLOADS, Ground, Workload, chosen, prepare, reset

_USUAL = ["bambufs", "bambufs-later", "rclone-writes", "rclone-full", "curl", "lftp"]


def main() -> int:
    """Return 0, or 1 when something that bambufs was to do went wrong."""
    arguments = _parse()
    workloads = chosen(arguments.workloads)
    every = []
    for name in arguments.servers:
        results = Results(SERVERS[name])
        _run_server(results, workloads, arguments.peers, arguments.rounds)
        show(results, workloads, arguments.peers)
        every.append(results)
    if arguments.json:
        save(every, arguments.json)
    return 1 if any(peer.startswith("bambufs") for results in every for peer in results.failures) else 0


def _run_server(results: Results, workloads: Sequence[Workload], peers: list[str], rounds: int) -> None:
    server = results.server
    with tempfile.TemporaryDirectory(prefix="bambufs-bench-") as folder, server.open() as site:
        prepare(site.card, Path(folder), server.scale)
        for number in range(rounds):
            start = number % len(peers)
            for name in peers[start:] + peers[:start]:  # each one comes first once
                print(f"{server.name}, round {number + 1} of {rounds}: {name}", file=sys.stderr)
                _Round(PEERS[name], results, site, Path(folder)).run(workloads)


@dataclass(frozen=True)
class _Round:
    """All workloads, once, by one peer."""

    peer: Peer
    results: Results
    site: Site
    scratch: Path

    def run(self, workloads: Sequence[Workload]) -> None:
        """Mount, do them all, and leave the card as it was."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            try:
                with self.peer.mount(self.site, Path(folder)) as mount:
                    self._run_all(workloads, Ground(mount, self.site.card, self.scratch, self.results.server.scale))
            except (OSError, RuntimeError, AssertionError) as error:
                self.results.fail(self.peer.name, "mount", repr(error))
        reset(self.site.card)

    def _run_all(self, workloads: Sequence[Workload], ground: Ground) -> None:
        tasks = self.peer.tasks(self.site) if self.peer.tasks else None
        watch = _Watch(ground.mount, self.results.server.patience)
        for workload in workloads:
            may = self.peer.only if tasks is None else tasks
            if may and workload.name not in may:
                continue
            if watch.has_given_up:
                self.results.fail(self.peer.name, workload.name, "its mount was taken away before")
                continue
            try:
                with watch:
                    self._measure(workload, ground, tasks[workload.name] if tasks else workload.run)
            except Exception as error:  # the next workload may do better, and the table shows it
                self.results.fail(self.peer.name, workload.name, repr(error))

    def _measure(self, workload: Workload, ground: Ground, run: Callable[[Ground], None]) -> None:
        counts = self.site.counts
        before = counts() if counts else None
        seconds = workload.time(ground, run) - (self.peer.delay if workload.is_upload else 0.0)
        moved = counts() - before if counts and before else None
        self.results.add(self.peer.name, workload.name, Sample(seconds, moved))


class _Watch:
    """Takes ``mount`` away from a workload that takes longer than ``seconds``, so that it fails."""

    def __init__(self, mount: Path, seconds: float) -> None:
        self._mount, self._seconds, self.has_given_up = mount, seconds, False

    def __enter__(self) -> None:
        self._timer = threading.Timer(self._seconds, self._give_up)
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _give_up(self) -> None:
        self.has_given_up = True
        subprocess.run(["umount", "-f", self._mount], capture_output=True, check=False)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=_USUAL)
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--workloads", nargs="+", choices=names, default=[], help="only these; all by default")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
