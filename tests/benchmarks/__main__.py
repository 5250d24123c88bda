"""Run the benchmark: ``python -m tests.benchmarks --json FILE``."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.report import Link, Results, save, show
from tests.benchmarks.workloads import WORKLOADS, Ground, prepare, reset
from tests.support.slowlink import slow_link
from tests.support.vsftpd import Vsftpd, vsftpd_printer


@dataclass(frozen=True)
class FarTarget:
    """The server as it looks through the link."""

    host: str
    port: int
    access_code: str
    serial: str


def main() -> int:
    """Return 0, or 1 when something that bambufs was to do went wrong."""
    arguments = _parse()
    link = Link(arguments.rtt_ms / 1000, arguments.mbytes_per_second * 1e6)
    results = Results(link)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bambufs-bench-")))
        server = stack.enter_context(vsftpd_printer())
        ports = range(server.port, server.passive_ports[-1] + 1)
        host = stack.enter_context(slow_link(ports, rtt=link.rtt, rate=link.rate))
        prepare(server.root, scratch)
        target = FarTarget(host, server.port, server.access_code, server.serial)
        _run_rounds(arguments, results, server, target, scratch)
    show(results, arguments.peers)
    if arguments.json:
        save(results, arguments.json)
    return 1 if any(peer.startswith("bambufs") for peer in results.failures) else 0


def _run_rounds(
    arguments: argparse.Namespace, results: Results, server: Vsftpd, target: FarTarget, scratch: Path
) -> None:
    for number in range(arguments.rounds):
        start = number % len(arguments.peers)
        for name in arguments.peers[start:] + arguments.peers[:start]:  # each one comes first once
            print(f"round {number + 1} of {arguments.rounds}: {name}", file=sys.stderr)
            _run_peer(PEERS[name], results, server, target, scratch)


def _run_peer(peer: Peer, results: Results, server: Vsftpd, target: FarTarget, scratch: Path) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        try:
            with peer.mount(target, Path(folder)) as mount:
                _run_workloads(peer, results, Ground(mount, server.root, scratch))
        except (OSError, RuntimeError, AssertionError) as error:
            results.fail(peer.name, "mount", repr(error))
    reset(server.root)


def _run_workloads(peer: Peer, results: Results, ground: Ground) -> None:
    for workload in WORKLOADS:
        try:
            seconds = workload.time(ground)
        except Exception as error:  # the next workload may do better, and the table shows it
            results.fail(peer.name, workload.name, repr(error))
        else:
            results.add(peer.name, workload.name, seconds - (peer.delay if workload.is_upload else 0.0))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rtt-ms", type=float, default=8.0)
    parser.add_argument("--mbytes-per-second", type=float, default=12.0, help="0: no limit")
    parser.add_argument(
        "--peers", nargs="+", choices=list(PEERS), default=["bambufs", "rclone-writes", "rclone-full"]
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
