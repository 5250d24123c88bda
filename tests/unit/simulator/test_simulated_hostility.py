"""A simulated printer that has lost its mind does harm of every kind, and the same harm for the same seed."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable

import pytest

from bambufs.simulator import Printer, parse_setting
from bambufs.simulator.hostile import KINDS, Hostility
from tests.unit.simulator.plain_client import PlainClient
from tests.unit.simulator.plain_mqtt import PlainMqtt

HONEST = b"213 1234\r\n"
LISTING = b"-rw-rw-rw-   1 root  root        7 Jun 13  2025 honest\r\n"


def mad(kinds: str, *, seed: int = 1, share: float = 1.0) -> Hostility:
    return Hostility(seed=seed, kinds=lambda: kinds, share=lambda: share, closing=threading.Event())


def some_of(hostility: Hostility) -> list[object]:
    """A few of each kind; of what has no end only the beginning."""
    found: list[object] = []
    for _ in range(100):
        said = (hostility.reply("SIZE", HONEST), hostility.reply("PASV", HONEST), hostility.listing(LISTING),
                hostility.content(b"content"), hostility.report({"print": {"mc_percent": 5}}))  # fmt: skip
        found += [piece if isinstance(piece, bytes) else tuple(itertools.islice(piece, 3)) for piece in said]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_printer_does_each_kind_of_harm(kind: str) -> None:
    honest = some_of(mad(""))

    assert some_of(mad(kind)) != honest
    assert some_of(mad("all")) != honest


def test_hostility_is_the_same_for_the_same_seed() -> None:
    assert some_of(mad("all", seed=3, share=0.3)) == some_of(mad("all", seed=3, share=0.3))
    assert some_of(mad("all", seed=3, share=0.3)) != some_of(mad("all", seed=4, share=0.3))


def test_kinds_are_joined_by_a_plus_and_checked() -> None:
    assert parse_setting("hostile=listings+endless") == ("hostile", "listings+endless")
    assert parse_setting("hostile=") == ("hostile", "")
    with pytest.raises(ValueError, match="is one of all, replies"):
        parse_setting("hostile=listings+smell")


def test_a_client_meets_odd_listings_false_content_and_wrong_ports(
    start: Callable[..., Printer], connect: Callable[..., PlainClient]
) -> None:
    printer = start(quirks={"hostile": "listings+content", "hostile_share": 1.0})
    (printer.card / "x").write_bytes(b"honest")
    client = connect(printer, timeout=5.0)

    listings = set()
    for _ in range(30):
        with client.transfercmd("LIST") as data:
            listings.add(b"".join(iter(lambda data=data: data.recv(65536), b"")))  # type: ignore[misc]
        client.getmultiline()
    assert len(listings) > 10
    assert {client.fetch("x")[0] for _ in range(10)} != {b"honest"}

    printer.quirks["hostile"] = "ports"
    answers = {client.answer("PASV") for _ in range(50)}
    assert not any(re.search(r"\(127,0,0,1,\d{2,3},\d+\)", answer) for answer in answers) or len(answers) > 3


def test_what_has_no_end_ends_with_the_client(
    start: Callable[..., Printer], connect: Callable[..., PlainClient]
) -> None:
    printer = start(quirks={"hostile_share": 1.0})
    client = connect(printer, timeout=5.0)
    printer.quirks["hostile"] = "endless"
    client.putcmd("NOOP")
    assert client.sock is not None
    received = 0
    while received < 20:
        received += len(client.sock.recv(4096))
    client.close()
    printer.wait_for_sessions(0)


def test_reports_are_malformed(start: Callable[..., Printer]) -> None:
    printer = start(mqtt=True, report_interval=0.02, quirks={"hostile": "reports", "hostile_share": 1.0})
    with PlainMqtt(printer) as client:
        client.wait(lambda: len(client.raw) > 20, "reports")
        assert len(set(client.raw)) > 5
