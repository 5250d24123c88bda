"""The golden server is what it says: an X1-family printer as far as a client can tell."""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ftps import PlainClient
from tests.support.needs import need
from tests.support.vsftpd import Vsftpd, vsftpd_printer
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[Vsftpd]:
    need("vsftpd")
    with vsftpd_printer() as running:
        yield running


def client(server: Vsftpd, **options: bool) -> PlainClient:
    return PlainClient(server.host, server.port, server.access_code, **options)


def fetch(server: Vsftpd, command: str) -> list[str]:
    lines: list[str] = []
    with client(server) as ftp:
        ftp.retrlines(command, lines.append)
    return lines


def test_it_speaks_tls_1_2_and_shows_the_serial(server: Vsftpd) -> None:
    with client(server) as ftp:
        assert ftp.sock.version() == "TLSv1.2"
        assert server.serial.encode() in ftp.sock.getpeercert(binary_form=True)


def test_it_refuses_tls_1_3(server: Vsftpd) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    with socket.create_connection((server.host, server.port)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)


def test_what_is_stored_lies_on_the_card(server: Vsftpd) -> None:
    with client(server) as ftp:
        ftp.storbinary("STOR /stored.bin", io.BytesIO(b"x" * 300_000))

    assert (server.root / "stored.bin").read_bytes() == b"x" * 300_000


def test_what_the_test_places_can_be_deleted(server: Vsftpd) -> None:
    (server.root / "placed").mkdir()
    (server.root / "placed/x").write_bytes(b"")

    with client(server) as ftp:
        ftp.delete("/placed/x")

    assert not (server.root / "placed/x").exists()


def test_dot_files_are_hidden(server: Vsftpd) -> None:
    (server.root / ".hidden").write_bytes(b"")

    assert not [line for line in fetch(server, "LIST") if ".hidden" in line]


def test_a_data_connection_without_a_resumed_session_is_refused(server: Vsftpd) -> None:
    with client(server, reuse=False) as ftp, pytest.raises(ftplib.error_perm, match="522"):
        ftp.retrlines("LIST", lambda _: None)


def test_a_wrong_access_code_is_refused(server: Vsftpd) -> None:
    with pytest.raises(ftplib.error_perm, match="530"):
        PlainClient(server.host, server.port, "wrong")


def test_the_commands_can_be_read_back(server: Vsftpd) -> None:
    with client(server) as ftp:
        ftp.voidcmd("NOOP")

    assert server.commands("NOOP")[-1].verb == "NOOP"


def test_the_access_code_is_not_in_the_log(server: Vsftpd) -> None:
    fetch(server, "LIST")

    assert all(server.access_code not in command.argument for command in server.commands("PASS"))


def test_the_host_has_no_new_user(server: Vsftpd) -> None:
    assert "bblp" not in Path("/etc/passwd").read_text()


def test_a_stopped_server_answers_nothing_until_it_goes_on(server: Vsftpd) -> None:
    with client(server) as ftp:
        ftp.sock.settimeout(0.3)
        server.stop()
        with pytest.raises(TimeoutError):
            ftp.voidcmd("NOOP")
        server.cont()

    assert fetch(server, "LIST") is not None


def test_a_killed_server_refuses_connections_until_it_is_restarted() -> None:
    need("vsftpd")
    with vsftpd_printer() as own:
        (own.root / "kept").write_bytes(b"")
        own.kill()
        with pytest.raises(ConnectionRefusedError):
            client(own)
        own.restart()

        assert len(fetch(own, "LIST")) == 1


def test_killing_ends_the_sessions_too() -> None:
    need("vsftpd")
    with vsftpd_printer() as own:
        ftp = client(own)
        own.kill()

        with pytest.raises((EOFError, OSError)):
            ftp.voidcmd("NOOP")
        ftp.close()


def test_a_small_disk_gets_full() -> None:
    need("vsftpd")
    with vsftpd_printer(small_disk=200_000) as own:
        ftp = client(own)
        with pytest.raises(ftplib.all_errors):  # the reply 451, or a write to the closed data connection
            ftp.storbinary("STOR /big", io.BytesIO(bytes(1_000_000)))
        ftp.close()

        assert 0 < (own.root / "big").stat().st_size < 1_000_000


def test_over_the_limit_of_clients_it_answers_in_plain_text() -> None:
    need("vsftpd")
    with vsftpd_printer(max_clients=1) as own, client(own), pytest.raises(ssl.SSLError, match="WRONG_VERSION"):
        client(own)


def test_an_idle_session_is_ended() -> None:
    need("vsftpd")
    with vsftpd_printer(idle_timeout=1) as own:
        ftp = client(own)
        wait_until(lambda: own.sessions() == 0, "the idle session to end")

        with pytest.raises((EOFError, OSError, ftplib.Error)):
            ftp.voidcmd("NOOP")
        ftp.close()


def test_two_servers_run_at_once() -> None:
    need("vsftpd")
    with vsftpd_printer() as one, vsftpd_printer(access_code="00000000") as other:
        (one.root / "one").write_bytes(b"")

        assert (len(fetch(one, "LIST")), len(fetch(other, "LIST"))) == (1, 0)
