"""The figures as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.workloads import WORKLOADS, Workload


@dataclass(frozen=True)
class Link:
    """The link between mount and server: round trip in seconds, bytes per second each way (0: no limit)."""

    rtt: float
    rate: float

    def limit(self, workload: Workload) -> float:
        """Return the seconds below which ``workload`` cannot be done, or 0 when nothing has to cross the link."""
        if not workload.moved:
            return 0.0
        return self.rtt + (workload.moved / self.rate if self.rate else 0.0)


@dataclass
class Results:
    """The seconds of every round, by peer and workload, and what went wrong."""

    link: Link
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, peer: str, workload: str, seconds: float) -> None:
        self.seconds.setdefault(peer, {}).setdefault(workload, []).append(seconds)

    def fail(self, peer: str, workload: str, reason: str) -> None:
        self.failures.setdefault(peer, {})[workload] = reason

    def median(self, peer: str, workload: str) -> float | None:
        """Return the median of the rounds, or None if one of them failed or there was none."""
        rounds = self.seconds.get(peer, {}).get(workload, [])
        if not rounds or workload in self.failures.get(peer, {}):
            return None
        return statistics.median(rounds)


def show(results: Results, peers: list[str]) -> None:
    """Print the table: seconds by peer, then how the first peer compares."""
    link, ours = results.link, peers[0]
    rate = f"{link.rate / 1e6:g} MB/s" if link.rate else "no limit"
    table = Table(title=f"vsftpd, round trip {link.rtt * 1000:g} ms, {rate}: seconds, median", caption=_CAPTION)
    table.add_column("")
    for peer in peers:
        table.add_column(peer, justify="right")
    table.add_column(f"{ours} / best rclone", justify="right")
    table.add_column(f"{ours} / link's limit", justify="right")
    for workload in WORKLOADS:
        table.add_row(workload.name, *_row(results, peers, workload))
    console = Console(width=130)
    console.print(table)
    for peer, failures in results.failures.items():
        for name, reason in failures.items():
            console.print(f"{peer}, {name}: {reason}", markup=False)


_CAPTION = "rclone's write-back delay of 1 s is taken off its uploads; every upload was compared byte for byte"


def _row(results: Results, peers: list[str], workload: Workload) -> list[str]:
    medians = {peer: results.median(peer, workload.name) for peer in peers}
    others = [value for peer, value in medians.items() if peer.startswith("rclone") and value is not None]
    ours, limit = medians[peers[0]], results.link.limit(workload)
    cells = ["failed" if value is None else f"{value:.3f}" for value in medians.values()]
    return [*cells, _ratio(ours, min(others, default=None)), _ratio(ours, limit or None)]


def _ratio(value: float | None, to: float | None) -> str:
    return "-" if value is None or not to else f"{value / to:.2f}"


def save(results: Results, path: Path) -> None:
    """Write all figures, with the machine they come from, as JSON."""
    content = {
        "machine": machine(),
        "link": {"rtt_seconds": results.link.rtt, "bytes_per_second": results.link.rate},
        "limits": {workload.name: results.link.limit(workload) for workload in WORKLOADS},
        "seconds": results.seconds,
        "failures": results.failures,
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def machine() -> dict[str, object]:
    """Return what the figures depend on: processor count, kernel, versions."""
    rclone = subprocess.run(["rclone", "version"], capture_output=True, text=True, check=False).stdout
    return {
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rclone": rclone.partition("\n")[0],
    }
