"""How fast the servers themselves are, so that the simulated printer is never what a benchmark measures.

``python -m tests.benchmarks.throughput``: one file up and down over loopback by a plain client, to the simulated
printer without a rate, to Debian's vsftpd, and through a bare TLS socket, which is the machine's limit. Each is a
process of its own; the rounds alternate, and the best one counts, since whatever else the machine does only slows down.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bambufs import simulator
from tests.support.certificates import printer_certificate
from tests.support.vsftpd import vsftpd_printer
from tests.unit.simulator.plain_client import PlainClient, client_context, close_data

LEAST = 100.0
"""MB/s that the simulated printer is to keep up."""

_BLOCK = bytes(256 * 1024)
_CODE = "12345678"


@dataclass
class Figures:
    """MB/s of each round."""

    up: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)


Measure = Callable[[int], tuple[float, float]]
"""Sends and fetches so many bytes; returns the MB/s of both."""


def send(data: socket.socket, size: int) -> None:
    """``size`` bytes of nothing."""
    for _ in range(size // len(_BLOCK)):
        data.sendall(_BLOCK)


def drain(data: socket.socket) -> int:
    """Everything until the end of the stream; returns how much that was."""
    buffer, received = bytearray(len(_BLOCK)), 0
    while count := data.recv_into(buffer):
        received += count
    return received


def rate(size: int, since: float) -> float:
    """MB/s."""
    return size / 1e6 / (time.perf_counter() - since)


def by_ftps(host: str, port: int, code: str) -> Measure:
    """Measures a server of files."""

    def measure(size: int) -> tuple[float, float]:
        client = PlainClient(timeout=60).open(host, port).sign_in(code)
        with contextlib.closing(client):
            since = time.perf_counter()
            data = client.transfercmd("STOR /speed.bin")
            send(data, size)
            close_data(data, "one-way")
            client.voidresp()
            up, since = rate(size, since), time.perf_counter()
            data = client.transfercmd("RETR /speed.bin")
            received = drain(data)
            close_data(data, "one-way")
            client.getmultiline()  # of whole blocks a P1 says 451
            down = rate(size, since)
        if received != size:
            raise RuntimeError(f"{received} of {size} bytes came back")
        return up, down

    return measure


@contextlib.contextmanager
def simulated(model: str) -> Iterator[Measure]:
    """The simulated printer, run as `bambufs simulate` runs it."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        code.write_text(_CODE)
        command = [sys.executable, "-m", "bambufs.simulator", "--model", model, "--announce", "none"]
        process = subprocess.Popen([*command, "--access-code-file", str(code)], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            port = next(found[1] for line in lines if (found := re.search(r"FTPS answers at \S+ port (\d+)", line)))
            yield by_ftps("127.0.0.1", int(port), _CODE)
        finally:
            process.terminate()
            process.communicate()


@contextlib.contextmanager
def vsftpd() -> Iterator[Measure]:
    """Debian's vsftpd."""
    with vsftpd_printer() as server:
        yield by_ftps(server.host, server.port, server.access_code)


_BARE = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.maximum_version = ssl.TLSVersion.TLSv1_2
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
block = bytearray(262144)
while True:
    with context.wrap_socket(listener.accept()[0], server_side=True) as client:
        size = int.from_bytes(client.recv(8), "big")
        left = size
        while left:
            left -= client.recv_into(block, min(left, len(block)))
        client.sendall(b"!")
        for _ in range(size // len(block)):
            client.sendall(block)
"""


@contextlib.contextmanager
def bare() -> Iterator[Measure]:
    """A TLS socket with a loop around it, in Python as the simulated printer is."""
    with tempfile.TemporaryDirectory() as folder:
        chain, key, _ = printer_certificate("01S00C000000001").write(Path(folder))
        command = [sys.executable, "-c", _BARE, str(chain), str(key)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield lambda size: _by_bare_socket(port, size)
        finally:
            process.kill()
            process.communicate()


def _by_bare_socket(port: int, size: int) -> tuple[float, float]:
    raw = socket.create_connection(("127.0.0.1", port), 60)
    with client_context(ssl.TLSVersion.TLSv1_2).wrap_socket(raw) as sock:
        sock.sendall(size.to_bytes(8, "big"))
        since = time.perf_counter()
        send(sock, size)
        sock.recv(1)
        up, since = rate(size, since), time.perf_counter()
        drain(sock)
        return up, rate(size, since)


SERVERS: dict[str, Callable[[], contextlib.AbstractContextManager[Measure]]] = {
    "bare TLS socket": bare,
    "vsftpd": vsftpd,
    **{f"simulated {model}": functools.partial(simulated, model) for model in simulator.FAMILY_MODEL.values()},
}


def run(size: int, rounds: int) -> dict[str, Figures]:
    """Every server, in turn, ``rounds`` times."""
    figures = {name: Figures() for name in SERVERS}
    with contextlib.ExitStack() as stack:
        measures = {name: stack.enter_context(open_server()) for name, open_server in SERVERS.items()}
        for _ in range(rounds):
            for name, measure in measures.items():
                up, down = measure(size)
                figures[name].up.append(up)
                figures[name].down.append(down)
    return figures


def show(figures: dict[str, Figures], size: int) -> bool:
    """Print the table; returns whether the simulated printers are fast enough."""
    table = Table(title=f"Servers alone, {size / 1e6:.0f} MB over loopback: MB/s, best of {len(figures['vsftpd'].up)}")
    for title in ("server", "up", "down"):
        table.add_column(title, justify="left" if title == "server" else "right")
    for name, one in figures.items():
        table.add_row(name, f"{max(one.up):.0f}", f"{max(one.down):.0f}")
    Console(width=100).print(table)
    bare, wanted = _slowest(figures["bare TLS socket"]), LEAST
    if bare < LEAST:
        print(f"This machine is too slow or too busy for {LEAST:.0f} MB/s; it did {bare:.0f}.")
        wanted = bare / 2
    slow = [name for name, one in figures.items() if "simulated" in name and _slowest(one) < wanted]
    if slow:
        print(f"Slower than {wanted:.0f} MB/s: {', '.join(slow)}.")
    return not slow


def _slowest(figures: Figures) -> float:
    """The slower way of the best rounds."""
    return min(max(figures.up), max(figures.down))


def main() -> int:
    """Return 1 when a simulated printer is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mbytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    size = arguments.mbytes << 20
    return 0 if show(run(size, arguments.rounds), size) else 1


if __name__ == "__main__":
    sys.exit(main())
