"""A plain client meets the quirks of connections: TLS, limits, idle ends, the data port, late and missing ends.

The rows are those of the table of quirks in README.md beside this file.
"""

from __future__ import annotations

import contextlib
import ftplib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from bambufs.simulator import Printer
from tests.support.needs import need
from tests.unit.simulator.plain_client import PlainClient, client_context, close_data

Start = Callable[..., Printer]
Connect = Callable[..., PlainClient]
BOTH = pytest.mark.parametrize("model", ["x1c", "p1s"])
BIG = bytes(3_000_000)


def certificate_of(printer: Printer) -> x509.Certificate:
    with socket.create_connection((printer.host, printer.ftps_port), 5) as raw:
        with client_context().wrap_socket(raw) as secured:
            der = secured.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


# -- row 1: implicit TLS, login, certificate


@BOTH
def test_tls_is_there_from_the_first_byte(model: str, start: Start, connect: Connect) -> None:
    client = connect(start(model), signed_in=False)

    assert client.welcome is not None
    assert client.welcome.startswith("220 ")
    assert ("vsFTPd" in client.welcome) == (model == "x1c")


@BOTH
def test_a_wrong_access_code_gets_530(model: str, start: Start, connect: Connect) -> None:
    client = connect(start(model), signed_in=False)

    client.sendcmd("USER bblp")
    assert client.code("PASS 00000000") == "530"
    assert client.code("LIST") == ("530" if model == "x1c" else "332")


def test_a_wrong_user_gets_530(start: Start, connect: Connect) -> None:
    client = connect(start(), signed_in=False)

    client.sendcmd("USER root")
    assert client.code("PASS 12345678") == "530"


def test_the_access_code_can_change_while_the_printer_runs(start: Start, connect: Connect) -> None:
    printer = start()
    printer.access_code = "87654321"

    client = connect(printer, signed_in=False)
    client.sendcmd("USER bblp")
    assert client.code("PASS 12345678") == "530"
    assert client.sign_in("87654321")


def test_the_log_masks_the_access_code(start: Start, connect: Connect) -> None:
    printer = start()
    connect(printer)

    assert "12345678" not in repr(printer.log) + repr(printer)
    assert [command.argument for command in printer.log if command.verb == "PASS"] == ["****"]


def test_the_certificate_names_the_serial_and_nothing_else(start: Start) -> None:
    shown = certificate_of(start(serial="01P00A123456789"))

    assert shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "01P00A123456789"
    assert shown.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "BBL CA"
    assert len(list(shown.extensions)) == 0


def test_a_renewed_certificate_is_another_one(start: Start) -> None:
    printer = start()
    before = certificate_of(printer)

    printer.renew_certificate()

    assert certificate_of(printer).fingerprint != before.fingerprint
    assert certificate_of(printer).subject == before.subject
    assert certificate_of(printer).public_key() != before.public_key()


# -- row 2: TLS 1.2 only


def test_tls_1_3_is_refused(start: Start) -> None:
    client = PlainClient(context=client_context(ssl.TLSVersion.TLSv1_3))

    printer = start()
    with pytest.raises(ssl.SSLError):
        client.open(printer.host, printer.ftps_port)


def test_tls_1_3_can_be_switched_on(start: Start, connect: Connect) -> None:
    printer = start(quirks={"tls": "1.3"})

    client = connect(printer, context=client_context(ssl.TLSVersion.TLSv1_3))

    assert client.lines() == []


# -- row 3: session reuse


def test_a_data_connection_without_the_session_gets_522_and_ends_the_control_connection(
    start: Start, connect: Connect
) -> None:
    printer = start()
    client = connect(printer, reuse=False)

    with pytest.raises(ftplib.error_perm, match="522"):
        client.lines()
    with pytest.raises((EOFError, OSError)):
        client.answer("NOOP")
    assert printer.log[-1].reply.startswith("522 ")


def test_the_session_of_another_control_connection_does_not_count(start: Start, connect: Connect) -> None:
    printer = start()
    context = client_context()
    other, client = connect(printer, context=context), connect(printer, context=context)
    assert isinstance(other.sock, ssl.SSLSocket)
    connection = ftplib.FTP.ntransfercmd(client, "LIST")[0]

    with contextlib.suppress(ssl.SSLError, ConnectionError):
        client.context.wrap_socket(connection, session=other.sock.session).close()
    connection.close()

    assert client.getmultiline().startswith("522 ")


def test_a_session_can_be_forgotten(start: Start, connect: Connect) -> None:
    printer = start()
    printer.quirks.once("lost_session", True)
    client = connect(printer)

    with pytest.raises(ftplib.error_perm, match="522"):
        client.lines()
    with pytest.raises((EOFError, OSError)):
        client.answer("NOOP")
    assert connect(printer).lines() == []


def test_esp32_asks_for_no_session(start: Start, connect: Connect) -> None:
    assert connect(start("p1s"), reuse=False).lines() == []


# -- rows 4, 5: the PASV address and the fixed data port


def test_esp32_answers_pasv_with_no_address_and_always_the_same_port(start: Start, connect: Connect) -> None:
    printer = start("p1s")
    client = connect(printer)

    ports = []
    for _ in range(3):
        client.lines()
        ports.append(printer.log[-2].reply)

    assert len(set(ports)) == 1
    assert ports[0].startswith("227 (0,0,0,0,")


def test_vsftpd_takes_a_fresh_port_for_each_transfer(start: Start, connect: Connect) -> None:
    printer = start()
    client = connect(printer)

    assert len({client.passive_address() for _ in range(4)}) > 1
    assert client.passive_address()[0] == printer.host


def test_the_data_port_can_be_refused(start: Start, connect: Connect) -> None:
    printer = start("p1s")
    client = connect(printer)
    printer.quirks["accept_timeout"] = 0.05
    printer.quirks.once("refuse_data", True)

    with pytest.raises(ConnectionRefusedError):
        client.lines()
    assert client.lines() == []


# -- rows 6, 7, 40: how many are let in


def test_esp32_does_not_accept_a_second_client(start: Start, connect: Connect) -> None:
    printer = start("p1s")
    first = connect(printer)

    with pytest.raises(TimeoutError):
        PlainClient(timeout=0.3).open(printer.host, printer.ftps_port)
    first.quit()

    assert connect(printer).lines() == []


def test_vsftpd_over_its_limit_says_421_in_plain_text(start: Start, connect: Connect) -> None:
    printer = start(quirks={"max_clients": 1})
    connect(printer)

    with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
        PlainClient().open(printer.host, printer.ftps_port)
    with socket.create_connection((printer.host, printer.ftps_port), 5) as raw:
        assert raw.recv(100).startswith(b"421 There are too many connected users")


def test_a_second_client_may_get_425_for_data(start: Start, connect: Connect) -> None:
    printer = start("p1s", quirks={"over_limit": "425"})
    connect(printer)
    second = connect(printer)

    assert second.code("NOOP") == "200"
    with pytest.raises(ftplib.error_temp, match="425"):
        second.lines()


def test_ftps_can_be_closed_while_the_rest_runs(start: Start, connect: Connect) -> None:
    printer = start()
    client = connect(printer)

    printer.quirks["ftps"] = False
    with pytest.raises((EOFError, OSError)):
        client.answer("NOOP")
    with pytest.raises(ConnectionRefusedError):
        PlainClient().open(printer.host, printer.ftps_port)
    printer.quirks["ftps"] = True

    assert connect(printer).lines() == []


def test_a_printer_switched_off_and_on_keeps_its_port(start: Start, connect: Connect) -> None:
    printer = start()
    port = printer.ftps_port

    printer.switch_off()
    with pytest.raises(ConnectionRefusedError):
        PlainClient().open(printer.host, port)
    printer.switch_on()

    assert printer.ftps_port == port
    assert connect(printer).lines() == []


# -- rows 8, 9, 11: the end of a STOR


def test_esp32_sends_no_close_notify_after_a_store(start: Start, connect: Connect) -> None:
    client = connect(start("p1s"))
    connection = client.begin_store("/a.bin", b"content")
    assert isinstance(connection, ssl.SSLSocket)
    connection.settimeout(0.3)

    with pytest.raises(TimeoutError):
        connection.unwrap()
    connection.close()

    assert client.getmultiline().startswith("226")


def test_vsftpd_sends_close_notify_after_a_store(start: Start, connect: Connect) -> None:
    client = connect(start())
    connection = client.begin_store("/a.bin", b"content")
    assert isinstance(connection, ssl.SSLSocket)

    connection.unwrap().close()

    assert client.getmultiline().startswith("226")


def test_vsftpd_wants_close_notify(start: Start, connect: Connect) -> None:
    printer = start()
    client = connect(printer)

    assert client.store("/a.bin", BIG, closing="bare").startswith("426")
    assert (printer.card / "a.bin").stat().st_size == len(BIG)
    assert client.code("NOOP") == "200"


@pytest.mark.parametrize("how", ["bare", "reset"])
def test_esp32_takes_any_end_for_the_end_of_the_file(how: str, start: Start, connect: Connect) -> None:
    printer = start("p1s")
    client = connect(printer)
    connection = client.begin_store("/a.bin", b"only the first half")
    assert isinstance(connection, ssl.SSLSocket)
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    close_data(connection, "bare")

    assert client.getmultiline().startswith("226")


@BOTH
def test_a_store_may_lose_its_end_and_get_226(model: str, start: Start, connect: Connect) -> None:
    printer = start(model)
    client = connect(printer)
    printer.quirks.once("short_stor", 1234)

    assert client.store("/a.bin", BIG).startswith("226")
    assert (printer.card / "a.bin").stat().st_size == 1234
    assert client.store("/a.bin", BIG).startswith("226")
    assert (printer.card / "a.bin").stat().st_size == len(BIG)


# -- row 10: a late 226


def test_the_226_of_a_store_may_be_late(start: Start, connect: Connect) -> None:
    printer = start("h2d")
    client = connect(printer)
    printer.quirks.once("late_226", 0.3)

    began = time.monotonic()
    assert client.store("/a.bin", b"x").startswith("226")
    assert time.monotonic() - began >= 0.3
    assert client.store("/a.bin", b"x").startswith("226")
    assert time.monotonic() - began < 5


# -- rows 12, 13: the end of a RETR


def test_a_retr_may_end_early_with_226(start: Start, connect: Connect) -> None:
    printer = start()
    (printer.card / "a.bin").write_bytes(bytes(10_000))
    client = connect(printer)
    printer.quirks.once("short_retr", 1234)

    assert client.fetch("/a.bin") == (bytes(1234), "226 Transfer complete.")
    assert client.fetch("/a.bin") == (bytes(10_000), "226 Transfer complete.")


@pytest.mark.parametrize(("size", "code"), [(2048, "451"), (0, "451"), (2047, "226")])
def test_esp32_ends_a_retr_of_whole_blocks_with_451(size: int, code: str, start: Start, connect: Connect) -> None:
    printer = start("p1s")
    (printer.card / "a.bin").write_bytes(bytes(size))

    content, reply = connect(printer).fetch("/a.bin")

    assert (len(content), reply[:3]) == (size, code)


# -- rows 24, 26, 27: idle, stalled and broken connections


def idle(client: PlainClient, printer: Printer) -> PlainClient:
    """Let a connection be dropped for being idle."""
    printer.quirks["idle_timeout"] = 0.05
    client.voidcmd("NOOP")
    printer.wait_for_sessions(0)
    return client


@pytest.mark.parametrize(("how", "error"), [("eof", (EOFError, OSError)), ("alert", (ssl.SSLError, OSError))])
def test_an_idle_connection_ends_without_a_word(
    how: str, error: tuple[type[Exception], ...], start: Start, connect: Connect
) -> None:
    printer = start(quirks={"idle_end": how})
    client = idle(connect(printer), printer)

    with pytest.raises(error):
        client.voidcmd("NOOP")


def test_the_alert_at_an_idle_end_is_a_real_one(start: Start, connect: Connect) -> None:
    printer = start(quirks={"idle_end": "alert"})
    client = idle(connect(printer), printer)
    assert client.sock is not None

    with pytest.raises(ssl.SSLError, match="ALERT"):
        client.sock.recv(1)


@pytest.mark.parametrize(("model", "code"), [("x1c", "421"), ("p1s", "221")])
def test_an_idle_connection_ends_with_a_stray_reply(model: str, code: str, start: Start, connect: Connect) -> None:
    printer = start(model, quirks={"idle_end": code})
    client = idle(connect(printer), printer)

    assert client.getmultiline()[:3] == code
    with pytest.raises((EOFError, OSError)):
        client.getmultiline()


@pytest.mark.parametrize(("model", "code"), [("p1s", "426"), ("x1c", "421")])
def test_a_store_that_stalls_is_given_up_and_leaves_a_part(
    model: str, code: str, start: Start, connect: Connect
) -> None:
    printer = start(model, quirks={"data_timeout": 0.2})
    client = connect(printer)

    connection = client.begin_store("/a.bin", b"a part")

    assert client.getmultiline().startswith(code)
    connection.close()
    assert (printer.card / "a.bin").read_bytes() == b"a part"


def test_no_data_connection_in_time_is_425(start: Start, connect: Connect) -> None:
    client = connect(start(quirks={"accept_timeout": 0.1}))

    client.passive_address()

    assert client.code("LIST") == "425"


def test_vsftpd_survives_a_download_that_is_closed_early(start: Start, connect: Connect) -> None:
    printer = start()
    (printer.card / "a.bin").write_bytes(BIG * 4)
    client = connect(printer)
    connection = client.transfercmd("RETR /a.bin")
    connection.recv(100)
    connection.close()

    assert client.getmultiline().startswith("426")
    assert client.code("NOOP") == "200"


def test_esp32_drops_everything_when_a_download_is_closed_early(start: Start, connect: Connect) -> None:
    printer = start("p1s")
    (printer.card / "a.bin").write_bytes(BIG * 4)
    client = connect(printer)
    connection = client.transfercmd("RETR /a.bin")
    connection.recv(100)
    connection.close()

    with pytest.raises((EOFError, OSError)):
        client.getmultiline()


@BOTH
def test_the_link_may_break_in_the_middle(model: str, start: Start, connect: Connect) -> None:
    printer = start(model)
    client = connect(printer)
    printer.quirks.once("drop_after", 100_000)

    with pytest.raises((EOFError, OSError)):
        client.store("/a.bin", BIG)
    printer.wait_for_sessions(0)
    assert (printer.card / "a.bin").stat().st_size == 100_000


# -- row 25: rate and latency


def test_the_rate_holds_for_uploads_and_downloads(start: Start, connect: Connect) -> None:
    printer = start(rate=400_000)
    client = connect(printer)

    began = time.monotonic()
    client.store("/a.bin", bytes(100_000))
    client.fetch("/a.bin")

    assert 0.4 < time.monotonic() - began < 5


def test_latency_counts_once_for_commands_sent_together(start: Start, connect: Connect) -> None:
    printer = start()
    client = connect(printer)
    printer.latency = 0.1

    began = time.monotonic()
    assert client.sock is not None
    client.sock.sendall(b"NOOP\r\n" * 20)
    assert [client.getmultiline() for _ in range(20)] == ["200 NOOP ok."] * 20

    assert 0.1 <= time.monotonic() - began < 1.9  # and not 20 times as long


def test_esp32_loses_all_but_the_first_command_of_a_record(start: Start, connect: Connect) -> None:
    client = connect(start("p1s"), timeout=0.5)
    assert client.sock is not None

    client.sock.sendall(b"NOOP\r\nSYST\r\n")

    assert client.getmultiline() == "200 "
    with pytest.raises(TimeoutError):
        client.getmultiline()


# -- gates


def test_a_gate_holds_a_store_between_two_bytes(start: Start, connect: Connect) -> None:
    printer = start()
    client = connect(printer)

    with printer.hold("STOR", after_bytes=100_001) as gate:
        connection = client.begin_store("/a.bin", bytes(200_000))
        assert gate.reached.wait(10)
        assert (printer.card / "a.bin").stat().st_size == 100_001
        close_data(connection, "one-way")

    assert client.getmultiline().startswith("226")
    assert (printer.card / "a.bin").stat().st_size == 200_000


def test_a_gate_holds_a_reply(start: Start, connect: Connect) -> None:
    printer = start()
    client = connect(printer, timeout=0.3)

    with printer.hold("SIZE") as gate:
        with pytest.raises(TimeoutError):
            client.answer("SIZE /missing")
        assert gate.reached.is_set()
        assert printer.log[-1].verb == "SIZE"
        assert printer.log[-1].reply == ""


def test_a_gate_for_every_verb_holds_commands_before_they_act(start: Start, connect: Connect) -> None:
    printer = start()
    client = connect(printer, timeout=0.3)

    with printer.hold("*", before="command"):
        with pytest.raises(TimeoutError):
            client.answer("MKD /made")
        assert not (printer.card / "made").exists()


def test_closing_a_printer_opens_its_gates(start: Start, connect: Connect) -> None:
    printer = start()
    client = connect(printer)
    gate = printer.hold("NOOP")
    client.putcmd("NOOP")
    assert gate.reached.wait(10)

    printer.close()

    assert printer.session_count == 0


@pytest.mark.parametrize(("model", "count"), [("x1c", 2), ("p2s", 1)])
def test_the_ca_certificate_is_sent_along_by_some(model: str, count: int, start: Start) -> None:
    need("openssl")
    printer = start(model)

    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"{printer.host}:{printer.ftps_port}", "-showcerts"],
        input="",
        capture_output=True,
        text=True,
        check=False,
    ).stdout

    assert shown.count("BEGIN CERTIFICATE") == count


def test_prot_c_is_of_no_use_by_default(start: Start, connect: Connect) -> None:
    client = connect(start("a1"))
    client.voidcmd("PROT C")

    with pytest.raises(ftplib.error_temp, match="425"):
        ftplib.FTP.ntransfercmd(client, "LIST")
