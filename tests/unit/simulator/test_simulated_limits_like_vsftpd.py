"""Ends, limits and odd commands: Debian's vsftpd and the simulator's X1 agree here too, in codes and in effects."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable

import pytest

from tests.unit.simulator.plain_client import PlainClient, close_data, read_all
from tests.unit.simulator.side_by_side import Pair, Script, Side

BIG = 20_000_000
Talk = Callable[[Side], list[object]]


def transcript(client: PlainClient, *commands: str) -> list[tuple[str, str]]:
    """The code of the reply to each command; how the connection ended instead of one."""
    said = []
    for command in commands:
        said.append((command[:40], ending(lambda command=command: client.code(command))))  # type: ignore[misc]
        if not said[-1][1].isdigit():
            break
    return said


def ending(step: Callable[[], str]) -> str:
    """What a step gives; the end of the connection as a word."""
    try:
        return step()
    except ssl.SSLError:
        return "alert"
    except (EOFError, ConnectionError):
        return "end"


def agree(sides: tuple[Side, Side], talk: Talk) -> list[object]:
    """Hold ``talk`` with both; returns what they agree on."""
    golden, simulated = (talk(side) for side in sides)
    assert simulated == golden
    return golden


# -- odd commands

ODD = (
    " NOOP", "noop", "NoOp", "NOOP ", "NOOP x", "\tNOOP", "NOOPX", "CWD", "CWD ", "MKD", "RMD", "DELE", "RNFR",
    "RNTO", "SIZE", "MDTM", "REST", "TYPE", "MODE", "STRU", "MODE B", "STRU R", "SITE", "OPTS", "OPTS UTF8",
    "OPTS MLST", "STAT /", "STAT missing", "STAT new.txt", "HELP", "HELP NOOP",
    "ACCT x", "REIN", "SMNT x", "LPSV", "CLNT x", "XCRC x", "CCC", "PROT", "PBSZ x", "PBSZ 5", "USER bblp",
    "USER other", "PASS x", "NOOP", "\xff\xfe", "CWD \xff", "MDTM 20240229120000", "RMD /", "DELE /",
    "RNFR /", "RNTO /x", "SIZE /", "CWD /cache/../cache/.",
    "DELE cache/../new.txt", "SIZE new.txt", "EPSV ALL", "EPSV 2", "QUIT",
)  # fmt: skip


def test_odd_commands_agree(both: Callable[[Script], list[list[object]]]) -> None:
    golden, simulated = both(lambda client: list(transcript(client, *ODD)))

    assert [pair for pair in zip(golden, simulated, strict=True) if pair[0] != pair[1]] == []


def test_an_empty_line_is_not_answered(both: Callable[[Script], list[list[object]]]) -> None:
    def script(client: PlainClient) -> list[object]:
        assert client.sock is not None
        client.sock.sendall(b"\r\n\r\nNOOP\r\nSYST\r\n")
        return [client.getmultiline(), client.getmultiline()]

    golden, simulated = both(script)

    assert simulated == golden


def test_the_list_of_features_agrees(both: Callable[[Script], list[list[object]]]) -> None:
    golden, simulated = both(lambda client: [sorted(client.answer("FEAT").splitlines())])

    assert simulated[0] == golden[0]


def test_a_line_that_is_too_long_ends_the_connection(both: Callable[[Script], list[list[object]]]) -> None:
    golden, simulated = both(lambda client: list(transcript(client, "NOOP " + "x" * 10_000, "NOOP")))

    assert simulated == golden


# -- getting in


def test_wrong_logins_agree(pair: Pair, closing: contextlib.ExitStack) -> None:
    wrong = ("USER bblp", "PASS wrong")

    def talk(side: Side) -> list[object]:
        client = side.client(closing, signed_in=False)
        return [*transcript(client, *wrong, "NOOP", *wrong, *wrong, "NOOP")]

    agree(pair({}), talk)


def test_protection_of_data_agrees(pair: Pair, closing: contextlib.ExitStack) -> None:
    def talk(side: Side) -> list[object]:
        client = side.client(closing, signed_in=False)
        login = transcript(client, "PROT P", "PBSZ 0", "USER bblp", f"PASS {side.code}")
        said = transcript(client, "PASV", "LIST", "PBSZ 0", "PROT C", "PASV", "LIST", "PROT P", "LIST", "RETR new.txt")
        return [[code for _, code in login], *said]

    agree(pair({"accept_timeout": 1.0}, settings="accept_timeout=1"), talk)


def test_one_client_too_many_is_told_in_plain_text(pair: Pair, closing: contextlib.ExitStack) -> None:
    def talk(side: Side) -> list[object]:
        first = side.client(closing)
        with socket.create_connection(("127.0.0.1", side.port), 10) as second:
            said = read_all(second)
        return [said, first.code("NOOP")]

    agreed = agree(pair({"max_clients": 1}, max_clients=1), talk)
    assert str(agreed[0]).startswith("b'421 ")


# -- ends


def test_idle_sessions_end_alike(pair: Pair, closing: contextlib.ExitStack) -> None:
    def talk(side: Side) -> list[object]:
        client = side.client(closing)
        return [ending(client.getmultiline), ending(client.getmultiline)]

    assert agree(pair({"idle_timeout": 1.0}, idle_timeout=1), talk) == ["alert", "end"]


def test_a_data_connection_that_never_comes_agrees(pair: Pair, closing: contextlib.ExitStack) -> None:
    def talk(side: Side) -> list[object]:
        client = side.client(closing)
        said: list[object] = []
        for command in ("LIST", "RETR new.txt", "STOR up.bin"):
            said += transcript(client, "PASV", command, "NOOP")
        return [*said, *transcript(client, "LIST", "SIZE up.bin")]

    agree(pair({"accept_timeout": 1.0}, settings="accept_timeout=1"), talk)


@pytest.mark.parametrize("command", ["STOR up.bin", "RETR big.bin"])
def test_a_transfer_that_stalls_agrees(command: str, pair: Pair, closing: contextlib.ExitStack) -> None:
    def talk(side: Side) -> list[object]:
        os.truncate(side.card / "future.txt", 0)
        (side.card / "big.bin").touch()
        os.truncate(side.card / "big.bin", BIG)
        client = side.client(closing)
        with client.transfercmd(command) as data:
            if command.startswith("STOR"):
                data.sendall(b"part")
            end = ending(client.getmultiline)
            following = ending(lambda: client.code("NOOP"))
        left = side.card / "up.bin"
        return [end[:3], following, left.read_bytes() if left.exists() else None]

    agree(pair({"data_timeout": 1.0}, settings="data_connection_timeout=1"), talk)


@pytest.mark.parametrize("way", ["one-way", "bare"])
def test_a_download_that_is_closed_early_agrees(way: str, pair: Pair, closing: contextlib.ExitStack) -> None:
    def talk(side: Side) -> list[object]:
        (side.card / "big.bin").touch()
        os.truncate(side.card / "big.bin", BIG)
        client = side.client(closing)
        said: list[object] = []
        for _ in range(2):
            data = client.transfercmd("RETR big.bin", 1000)
            data.recv(5000)
            close_data(data, way)  # type: ignore[arg-type]
            said += [client.getmultiline()[:3], client.code("NOOP")]
        return [*said, client.fetch("new.txt")[1][:3]]

    agree(pair({}), talk)


def test_abor_and_others_during_a_transfer_are_answered_after_it(
    both: Callable[[Script], list[list[object]]],
) -> None:
    def script(client: PlainClient) -> list[object]:
        with client.transfercmd("RETR new.txt") as data:
            client.putcmd("ABOR")
            client.putcmd("NOOP")
            content = read_all(data)
            close_data(data, "one-way")
        return [len(content), *(client.getmultiline()[:3] for _ in range(3))]

    golden, simulated = both(script)

    assert simulated == golden


def test_quit_with_commands_behind_it_agrees(both: Callable[[Script], list[list[object]]]) -> None:
    def script(client: PlainClient) -> list[object]:
        assert client.sock is not None
        client.sock.sendall(b"QUIT\r\nDELE new.txt\r\n")
        return [client.getmultiline(), ending(client.getmultiline)]

    golden, simulated = both(script)

    assert simulated == golden


# -- what lasts from one command to the next


def test_offsets_and_first_names_last_equally_long(both: Callable[[Script], list[list[object]]]) -> None:
    def script(client: PlainClient) -> list[object]:
        said: list[object] = list(transcript(client, "RNFR new.txt", "RNFR missing", "RNTO x", "RNFR new.txt", "QUUX"))
        said += transcript(client, "RNTO renamed.txt", "RNTO again.txt", "REST 900", "NOOP")
        said += [client.fetch("renamed.txt")[0], client.fetch("renamed.txt")[0]]
        said += [client.fetch("renamed.txt", rest=5_000), client.fetch("renamed.txt", rest=1000)]
        said += transcript(client, "REST 5")
        with client.transfercmd("NLST") as data:
            said.append(len(read_all(data)))
            close_data(data, "one-way")
        client.voidresp()
        return [*said, client.fetch("renamed.txt")[0]]

    golden, simulated = both(script)

    assert [str(item)[:50] for item in simulated[:-1]] == [str(item)[:50] for item in golden[:-1]]
    assert simulated[-1] == golden[-1]


def test_stores_past_the_end_and_over_folders_agree(both: Callable[[Script], list[list[object]]]) -> None:
    def store(client: PlainClient, command: str, rest: int | None = None) -> object:
        data = client.transfercmd(command, rest)
        data.sendall(b"content")
        close_data(data, "one-way")
        return client.getmultiline()[:3]

    def script(client: PlainClient) -> list[object]:
        said = [store(client, "STOR new.txt", 2000), store(client, "APPE fresh.txt"), store(client, "STOR fresh.txt")]
        said += [store(client, "APPE cache/deep.txt"), store(client, "STOR ../above.txt")]
        return [*said, *transcript(client, "SIZE new.txt", "SIZE fresh.txt", "SIZE above.txt")]

    golden, simulated = both(script)

    assert simulated == golden
