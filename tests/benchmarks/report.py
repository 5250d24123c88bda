"""The figures as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.servers import Server
from tests.benchmarks.workloads import Workload
from tests.support.slowlink import Counts


@dataclass(frozen=True)
class Sample:
    """One run of one workload: its seconds, and what crossed the link, where that was counted."""

    seconds: float
    counts: Counts | None


@dataclass
class Results:
    """The samples of every round on one server, by peer and workload, and what went wrong."""

    server: Server
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, peer: str, workload: str, sample: Sample) -> None:
        self.samples.setdefault(peer, {}).setdefault(workload, []).append(sample)

    def fail(self, peer: str, workload: str, reason: str) -> None:
        self.failures.setdefault(peer, {})[workload] = reason

    def limit(self, workload: Workload) -> float:
        """Return the seconds below which the link does not allow ``workload``, or 0 when nothing has to cross it."""
        return self.server.link.limit(workload.moved(self.server.scale))

    def has_failed(self, peer: str, workload: str) -> bool:
        return bool(self.failures.get(peer, {}).keys() & {workload, "mount"})

    def seconds(self, peer: str, workload: str) -> float | None:
        """Return the median of the rounds, or None if one of them failed or there was none."""
        samples = self.samples.get(peer, {}).get(workload, [])
        if not samples or self.has_failed(peer, workload):
            return None
        return statistics.median(sample.seconds for sample in samples)

    def round_trips(self, peer: str, workload: str) -> int | None:
        """Return the median of the round trips waited for, or None where they were not counted."""
        samples = self.samples.get(peer, {}).get(workload, [])
        counts = [sample.counts.round_trips for sample in samples if sample.counts is not None]
        return statistics.median_low(counts) if counts and not self.has_failed(peer, workload) else None


def show(results: Results, workloads: Sequence[Workload], peers: Sequence[str]) -> None:
    """Print the table: seconds and round trips by peer, then how the first peer compares."""
    ours = peers[0]
    table = Table(title=f"{results.server.title}: seconds (round trips), median", caption=_CAPTION)
    table.add_column(_sizes(results.server))
    for peer in peers:
        table.add_column(peer, justify="right")
    table.add_column(f"{ours} / best rclone", justify="right")
    table.add_column(f"{ours} / link's limit", justify="right")
    for workload in workloads:
        table.add_row(workload.title, *_row(results, peers, workload))
    console = Console(width=150)
    console.print(table)
    for peer, failures in results.failures.items():
        for name, reason in failures.items():
            console.print(f"{peer}, {name}: {reason}", markup=False)


_CAPTION = "rclone and bambufs-later wait a second before an upload, which is taken off; every byte was compared"


def _sizes(server: Server) -> str:
    scale = server.scale
    files = f"{scale.listed} listed, {scale.small} small, {scale.copied} tiny files"
    return f"{scale.big / (1 << 20):g} MiB; {files}; {scale.reads} reads"


def _row(results: Results, peers: Sequence[str], workload: Workload) -> list[str]:
    cells = [_cell(results, peer, workload) for peer in peers]
    others = [results.seconds(peer, workload.name) for peer in peers if peer.startswith("rclone")]
    ours = results.seconds(peers[0], workload.name)
    best = min((value for value in others if value is not None), default=None)
    return [*cells, _ratio(ours, best), _ratio(ours, results.limit(workload) or None)]


def _cell(results: Results, peer: str, workload: Workload) -> str:
    if results.has_failed(peer, workload.name):
        return "failed"
    seconds, trips = results.seconds(peer, workload.name), results.round_trips(peer, workload.name)
    if seconds is None:
        return ""
    return f"{seconds:.3f}" + ("" if trips is None else f" ({trips})")


def _ratio(value: float | None, to: float | None) -> str:
    return "" if value is None or not to else f"{value / to:.2f}"


def save(every: Sequence[Results], path: Path) -> None:
    """Write all figures, with the machine they come from, as JSON."""
    path.write_text(json.dumps({"machine": machine(), "servers": [_as_json(results) for results in every]}, indent=2))


def _as_json(results: Results) -> dict[str, object]:
    server = results.server
    return {
        "server": server.name,
        "link": {"rtt_seconds": server.link.rtt, "bytes_per_second": server.link.rate},
        "scale": asdict(server.scale),
        "samples": {
            peer: {name: [asdict(sample) for sample in samples] for name, samples in workloads.items()}
            for peer, workloads in results.samples.items()
        },
        "failures": results.failures,
    }


def machine() -> dict[str, object]:
    """Return what the figures depend on: processors and their load, kernel, versions."""
    rclone = subprocess.run(["rclone", "version"], capture_output=True, text=True, check=False).stdout
    return {
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rclone": rclone.partition("\n")[0],
    }
