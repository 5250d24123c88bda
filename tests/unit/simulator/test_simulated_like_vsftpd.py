"""The same conversation with Debian's vsftpd and with the simulator's X1: codes and effects agree."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bambufs.simulator import Printer
from tests.support.vsftpd import Vsftpd
from tests.unit.simulator.plain_client import PlainClient, client_context, close_data
from tests.unit.simulator.side_by_side import Script


def listed(line: str) -> str:
    """A LIST line without what may differ: permissions, links, owner, and a folder's size."""
    parts = re.fullmatch(r"(.)\S{9} +\d+ \S+ +\S+ +(\d+) (.{12} .*)", line)
    assert parts, line
    kind, size, rest = parts.groups()
    return f"{kind} {'-' if kind == 'd' else size} {rest}"


CODES = (
    "NOOP", "SYST", "PWD", "XPWD", "TYPE A", "TYPE I", "TYPE L 8", "TYPE X", "MODE S", "STRU F", "ALLO 5", "HELP",
    "SIZE old.txt", "SIZE cache", "SIZE missing", "SIZE /cache/Größe.3mf", "MDTM missing", "MDTM cache",
    "MDTM new.txt", "MDTM 20240229120000 new.txt", "MDTM new.txt", "MDTM 20240229120000 missing", "MDTM 2024 new.txt",
    "CWD cache", "PWD", "CDUP", "PWD", "CDUP", "PWD", "CWD missing", "PWD", "CWD new.txt", "CWD /full/inner", "PWD",
    "CWD ../..", "PWD", "CWD ../../../etc", "CWD /",
    "MKD made", "MKD made", "MKD made/deep/er", "RMD made", "RMD made", "RMD full", "RMD new.txt", "MKD cache/",
    "DELE missing", "DELE cache", "DELE old.txt", "DELE old.txt",
    "RNTO nothing", "RNFR missing", "RNFR new.txt", "RNTO missing/x", "RNFR new.txt", "RNTO future.txt",
    "RNFR full", "RNTO moved", "RNFR moved", "RNTO cache", "RNFR future.txt", "NOOP", "RNTO after.txt",
    "RNFR .hidden", "RNTO shown",
    "REST 5", "REST x", "STAT", "FEAT", "MLSD", "MLST x", "AVBL", "HASH x", "SITE HELP", "XFOO",
    "LIST", "RETR new.txt", "STOR new.txt", "ABOR", "OPTS UTF8 ON", "PBSZ 0", "PROT S", "PROT Z", "PASV", "EPSV",
)  # fmt: skip


def test_reply_codes_agree(both: Callable[[Script], list[list[object]]]) -> None:
    def codes(client: PlainClient) -> list[object]:
        return [(command, client.code(command)) for command in CODES]

    golden, simulated = both(codes)

    assert [pair for pair in zip(golden, simulated, strict=True) if pair[0] != pair[1]] == []


def test_facts_in_replies_agree(both: Callable[[Script], list[list[object]]]) -> None:
    facts = ("PWD", "CWD cache", "PWD", "SYST", "MDTM /old.txt", "SIZE /new.txt", "MDTM 20240229120000 /new.txt",
             "MDTM /new.txt", "MKD /a\"b", "CWD /a\"b", "PWD")  # fmt: skip

    golden, simulated = both(lambda client: [client.answer(command) for command in facts])

    assert simulated == golden


@pytest.mark.parametrize(
    "command",
    ["LIST", "LIST /", "LIST -a", "LIST cache", "LIST /cache/", "LIST missing", "LIST missing/x", "LIST new.txt",
     "LIST *.txt", "LIST cache/*", "LIST empty", "LIST -la cache", "LIST -l", "LIST -a missing", "NLST -a cache",
     "NLST", "NLST cache", "NLST /cache", "NLST *.txt", "NLST /cache/", "NLST missing"],
)  # fmt: skip
def test_listings_agree(command: str, both: Callable[[Script], list[list[object]]]) -> None:
    def script(client: PlainClient) -> list[object]:
        lines = client.lines(command)
        return [listed(line) if command.startswith("LIST") else line for line in lines]

    golden, simulated = both(script)

    assert simulated == golden


@pytest.mark.parametrize("closing_way", ["one-way", "two-way", "bare"])
def test_ends_of_a_store_agree(closing_way: str, both: Callable[[Script], list[list[object]]]) -> None:
    def script(client: PlainClient) -> list[object]:
        reply = client.store("/cache/up.bin", bytes(700_000), closing=closing_way)  # type: ignore[arg-type]
        return [reply[:3], client.code("NOOP"), client.answer("SIZE /cache/up.bin")]

    golden, simulated = both(script)

    assert simulated == golden


def test_transfers_agree(both: Callable[[Script], list[list[object]]]) -> None:
    def script(client: PlainClient) -> list[object]:
        found: list[object] = [client.fetch("/new.txt"), client.fetch("/new.txt", rest=900)[0]]
        found += [client.store("new.txt", b"short")[:3], client.store("empty.bin", b"")[:3]]
        for command in ("RETR /missing", "RETR cache", "STOR cache", "STOR missing/x", "APPE cache"):
            client.passive_address()
            found.append((command, client.code(command)))
        connection = client.transfercmd("APPE new.txt")
        connection.sendall(b" and more")
        close_data(connection, "one-way")
        found.append(client.getmultiline()[:3])
        connection = client.transfercmd("STOR new.txt", 2)
        connection.sendall(b"XX")
        close_data(connection, "one-way")
        return [*found, client.getmultiline()[:3]]

    golden, simulated = both(script)

    assert [str(item)[:60] for item in simulated[:-1]] == [str(item)[:60] for item in golden[:-1]]
    assert simulated[-1] == golden[-1]


def test_commands_in_one_record_are_all_answered_in_order(both: Callable[[Script], list[list[object]]]) -> None:
    def script(client: PlainClient) -> list[object]:
        commands = ["RNFR new.txt", "RNTO cache/n.txt", "MDTM 20240229120000 cache/n.txt", "SIZE cache/n.txt", "NOOP"]
        assert client.sock is not None
        client.sock.sendall("".join(f"{command}\r\n" for command in commands).encode())
        return [client.getmultiline() for _ in commands]

    golden, simulated = both(script)

    assert simulated == golden


def test_a_data_connection_without_the_session_ends_both(both: Callable[[Script], list[list[object]]]) -> None:
    def script(client: PlainClient) -> list[object]:
        client.reuse = False
        seen = ""
        steps: list[Callable[[], object]] = [client.lines, client.getmultiline, lambda: client.answer("NOOP")]
        for step in steps:
            try:
                seen += str(step())
            except Exception as error:  # which error is the client's affair
                seen += str(error) + type(error).__name__
        return ["522" in seen, "EOFError" in seen]

    golden, simulated = both(script)

    assert simulated == golden == [True, True, golden[-1]]


def test_commands_before_the_login_agree(golden: Vsftpd, start: Callable[..., Printer]) -> None:
    printer = start()
    commands = ("NOOP", "SYST", "FEAT", "CWD /", "PASS x", "USER bblp", "PASS wrong", "QUIT")
    codes = []
    for port in (golden.port, printer.ftps_port):
        client = PlainClient(context=client_context()).open("127.0.0.1", port)
        codes.append([(command, client.code(command)) for command in commands])
        client.close()

    assert codes[1] == codes[0]
