"""Rows 1 to 7, 24 and 40: how printers let one in, how many they let in, and how they throw one out."""

from __future__ import annotations

import errno
import os
import ssl
import threading
import time

import pytest

from bambufs.printer.trust import make_context
from tests.contract.box import refused
from tests.quirks.conftest import On
from tests.quirks.stand import Stand
from tests.support.waiting import wait_until
from tests.unit.simulator.plain_client import PlainClient

BOTH = pytest.mark.parametrize("model", ["x1c", "p1s"])
CONTENT = os.urandom(200_000)


def works(stand: Stand) -> bool:
    """Whether a file gets onto the card and back, whole."""
    place = stand.folder / "works.3mf"
    place.write_bytes(CONTENT)
    stand.refresh()
    is_listed = place.name in os.listdir(stand.folder)
    stand.wait_until_tidy()
    return is_listed and place.read_bytes() == CONTENT and stand.holds(place.name, CONTENT)


@BOTH
def test_data_are_encrypted_also_where_the_printer_would_take_them_in_clear(on: On, model: str) -> None:
    stand = on(model)
    stand.quirks["clear_data"] = True
    stand.reconnect()

    assert works(stand)
    assert {command.argument for command in stand.sent("PROT")} == {"P"}


def test_login_works_where_commands_before_it_get_332_and_the_certificate_comes_alone(on: On) -> None:
    stand = on("x1c")
    stand.quirks["early_code"], stand.quirks["chain"] = "332", False
    stand.reconnect()

    assert works(stand)
    assert stand.codes("PASS")[:1] == ["230"]


@pytest.mark.parametrize("offered", ["1.2", "1.2+1.3"])
def test_tls_1_2_is_spoken_with_every_printer(on: On, offered: str) -> None:
    stand = on("x1c")
    stand.quirks["tls"] = offered
    stand.reconnect()

    assert works(stand)
    assert make_context().maximum_version is ssl.TLSVersion.TLSv1_2


def test_every_data_connection_resumes_the_session(on: On) -> None:
    stand = on("x1c")

    assert stand.quirks.flag("require_reuse")
    assert works(stand)
    replies = [reply for command in stand.sent() for reply in command.replies]
    assert not [reply for reply in replies if reply.startswith("522")]
    assert len([reply for reply in replies if reply.startswith("150")]) >= 3


@pytest.mark.parametrize("verb", ["LIST", "RETR", "STOR"])
def test_a_522_is_followed_by_another_session(on: On, verb: str) -> None:
    stand = on("x1c")
    place = stand.put("there.3mf", CONTENT)
    if verb != "LIST":
        os.listdir(stand.folder)
    stand.quirks.once("lost_session", True)

    if verb == "STOR":
        assert works(stand)
    else:
        assert place.read_bytes() == CONTENT
    assert "522" in "".join(reply for command in stand.sent(verb) for reply in command.replies)


@pytest.mark.parametrize(("model", "address"), [("p1s", "0.0.0.0"), ("x1c", "192.0.2.1")])
def test_the_address_in_the_pasv_reply_is_not_used(on: On, model: str, address: str) -> None:
    stand = on(model)
    stand.quirks["pasv_address"] = address
    stand.reconnect()

    assert works(stand)
    assert all(f"({address.replace('.', ',')}," in command.reply for command in stand.sent("PASV"))


def test_transfers_through_the_only_data_port_go_one_after_the_other(on: On) -> None:
    stand = on("p1s")
    for number in range(4):
        stand.put(f"there {number}.3mf", CONTENT)
    contents: dict[str, bytes] = {}

    def copy(number: int) -> None:
        (stand.folder / f"new {number}.3mf").write_bytes(CONTENT)
        contents[str(number)] = (stand.folder / f"there {number}.3mf").read_bytes()

    copies = [threading.Thread(target=copy, args=(number,)) for number in range(4)]
    for thread in copies:
        thread.start()
    for thread in copies:
        thread.join()

    assert contents == dict.fromkeys("0123", CONTENT)
    assert all(stand.holds(f"new {number}.3mf", CONTENT) for number in range(4))
    assert len({command.session for command in stand.sent()}) == 1
    ports = {command.reply for command in stand.sent("PASV")}
    assert len(ports) == 1


@BOTH
@pytest.mark.parametrize("verb", ["LIST", "RETR", "STOR"])
def test_a_refused_data_connection_is_tried_again(on: On, model: str, verb: str) -> None:
    stand = on(model)
    stand.quirks["accept_timeout"] = 0.2
    stand.reconnect()  # a data connection may have been made ahead
    place = stand.put("there.3mf", CONTENT)
    if verb != "LIST":
        os.listdir(stand.folder)
    stand.quirks.once("refuse_data", True)

    if verb == "STOR":
        (stand.folder / "new.3mf").write_bytes(CONTENT)
        assert stand.holds("new.3mf", CONTENT)
    else:
        assert place.read_bytes() == CONTENT


def test_data_ports_may_come_from_a_small_range(on: On) -> None:
    stand = on("x1c")
    stand.quirks["passive_ports"] = "20000-20400"
    stand.reconnect()

    assert works(stand)


# --- how many are let in --------------------------------------------------------------------------


def guest(stand: Stand) -> PlainClient:
    """Another program that is logged in, after all of our connections were broken."""
    stand.reconnect()
    client = PlainClient().open(stand.printer.host, stand.printer.ftps_port)
    return client.sign_in(stand.printer.access_code)


def test_a_printer_with_one_connection_is_used_with_one(on: On) -> None:
    stand = on("p1s")
    readers = [threading.Thread(target=os.listdir, args=(stand.folder,)) for _ in range(8)]

    for reader in readers:
        reader.start()
    assert works(stand)
    for reader in readers:
        reader.join()

    assert stand.printer.session_count == 1
    assert len({command.session for command in stand.sent()}) == 1


def test_a_taken_slot_of_a_vsftpd_printer_is_busy_and_nothing_worse(on: On) -> None:
    stand = on("x1c")
    stand.quirks["max_clients"] = 1
    client = guest(stand)
    try:
        began = time.monotonic()
        with refused(errno.EBUSY):
            (stand.folder / "new").mkdir()
        assert time.monotonic() - began < 5
        assert "are taken; close another program that uses it" in stand.said
    finally:
        client.close()

    wait_until(lambda: _can_make(stand), "the mount to work again")


def _can_make(stand: Stand) -> bool:
    try:
        (stand.folder / "new").mkdir()
    except OSError:
        return False
    return True


def test_a_limit_below_what_the_driver_would_like_is_learnt(on: On) -> None:
    stand = on("x1c")
    stand.quirks["max_clients"] = 1
    stand.put("there.3mf", CONTENT)

    with stand.printer.hold("STOR", after_bytes=1000) as gate:
        writer = threading.Thread(target=(stand.folder / "new.3mf").write_bytes, args=(CONTENT,))
        writer.start()
        assert gate.reached.wait(10)
        reader = threading.Thread(target=(stand.folder / "there.3mf").read_bytes)
        reader.start()
        gate.release()
        writer.join()
        reader.join()

    assert stand.holds("new.3mf", CONTENT)
    assert (stand.folder / "there.3mf").read_bytes() == CONTENT


def test_a_slot_that_is_given_without_data_is_busy(on: On) -> None:
    stand = on("p1s")
    stand.quirks["over_limit"] = "425"
    stand.refresh()
    client = guest(stand)
    try:
        with refused(errno.EBUSY):
            os.listdir(stand.folder)
        assert "425" not in stand.said
    finally:
        client.close()

    wait_until(stand.is_well, "the mount to work again")


# --- how one is thrown out ------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("end", ["alert", "eof", "421", "221"])
def test_a_connection_that_was_dropped_while_idle_is_made_anew(on: On, model: str, end: str) -> None:
    stand = on(model)
    stand.quirks["idle_end"], stand.quirks["idle_timeout"] = end, 0.1
    stand.reconnect()
    stand.refresh()
    assert os.listdir(stand.folder) == []
    stand.printer.wait_for_sessions(0)

    (stand.folder / "new").mkdir()

    assert (stand.disk / "new").is_dir()
    stand.quirks["idle_timeout"] = 300.0
    stand.reconnect()
    assert works(stand)


def test_a_mount_survives_that_the_file_port_is_closed(on: On) -> None:
    stand = on("x1c")
    place = stand.put("there.3mf", CONTENT)
    assert place.read_bytes() == CONTENT
    assert os.listdir(stand.mount.path)

    stand.quirks["ftps"] = False
    with refused(errno.EHOSTUNREACH):
        (stand.folder / "new").mkdir()
    assert os.listdir(stand.folder) == ["there.3mf"]  # from memory
    stand.quirks["ftps"] = True

    wait_until(lambda: _can_make(stand), "the mount to work again")
