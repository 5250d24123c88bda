"""A plain client meets the quirks of commands, listings, times, names and the card itself."""

from __future__ import annotations

import calendar
import ftplib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bambufs.simulator import Printer
from tests.support.waiting import wait_until
from tests.unit.simulator.plain_client import PlainClient, close_data

Start = Callable[..., Printer]
Connect = Callable[..., PlainClient]
BOTH = pytest.mark.parametrize("model", ["x1c", "p1s"])
NOW = float(calendar.timegm((2026, 3, 10, 12, 0, 0)))
DAY = 86400


def put(printer: Printer, name: str, *, age: float = 0.0, content: bytes = b"x") -> Path:
    place = printer.card / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    os.utime(place, (NOW - age, NOW - age))
    return place


# -- nothing outside the card can be reached


@BOTH
@pytest.mark.parametrize("path", ["/../outside", "../outside", "/a/../../outside", "//..//outside", "/link/outside"])
def test_no_path_leads_out_of_the_card(path: str, model: str, start: Start, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    printer = start(model)
    (printer.card / "link").symlink_to(tmp_path)
    client = connect(printer)

    assert client.code(f"SIZE {path}") == "550"
    assert client.code(f"DELE {path}") == "550"
    client.lines()
    if "link" not in path:
        client.store(path, b"overwritten")
    assert (tmp_path / "outside").read_text() == "secret"


@BOTH
def test_symbolic_links_do_not_exist(model: str, start: Start, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    printer = start(model)
    (printer.card / "link").symlink_to(tmp_path / "outside")
    client = connect(printer)

    assert client.lines() == []
    assert client.code("SIZE /link") == "550"
    with pytest.raises(ftplib.error_perm):
        client.store("/link", b"overwritten")
    assert (tmp_path / "outside").read_text() == "secret"


# -- rows 14, 15, 16: what is known


@pytest.mark.parametrize(("model", "reply"), [("x1c", '257 "/made" created'), ("p1s", "250 ")])
def test_the_reply_to_mkd(model: str, reply: str, start: Start, connect: Connect) -> None:
    printer = start(model)

    assert connect(printer).answer("MKD /made") == reply
    assert (printer.card / "made").is_dir()


@pytest.mark.parametrize("command", ["REST 5", "APPE /a", "FEAT", "EPSV", "STAT", "OPTS UTF8 ON", "MLSD", "XFOO"])
def test_esp32_does_not_know(command: str, start: Start, connect: Connect) -> None:
    assert connect(start("p1s")).code(command) == "502"


def test_esp32_knows_no_features(start: Start, connect: Connect) -> None:
    assert connect(start("p1s")).answer("FEAT") == "502 no-features"


def test_mlsd_is_unknown_to_vsftpd(start: Start, connect: Connect) -> None:
    assert connect(start()).code("MLSD") == "500"


def test_vsftpd_resumes(start: Start, connect: Connect) -> None:
    printer = start()
    put(printer, "a.bin", content=b"0123456789")

    assert connect(printer).fetch("/a.bin", rest=6)[0] == b"6789"


def test_commands_can_be_switched_off(start: Start, connect: Connect) -> None:
    client = connect(start(quirks={"refused": "MKD:550, rmd, MDTM:500"}))

    assert [client.code(f"{verb} /x") for verb in ("MKD", "RMD", "MDTM", "SIZE")] == ["550", "502", "500", "550"]


@BOTH
def test_port_is_refused(model: str, start: Start, connect: Connect) -> None:
    assert connect(start(model)).code("PORT 127,0,0,1,1,1") in ("500", "502")


def test_data_need_prot_p(start: Start, connect: Connect) -> None:
    for model, code in (("x1c", "522"), ("p1s", "425")):
        client = connect(start(model), signed_in=False)
        client.sendcmd("USER bblp")
        client.sendcmd("PASS 12345678")
        if model == "x1c":
            client.passive_address()
        assert client.code("LIST") in (code, "425")


def test_prot_c_can_be_allowed(start: Start, connect: Connect) -> None:
    printer = start("a1", quirks={"clear_data": True})
    put(printer, "a.bin", content=b"in clear")
    client = connect(printer)
    client.voidcmd("PROT C")

    connection = ftplib.FTP.ntransfercmd(client, "RETR /a.bin")[0]
    content = connection.recv(100)
    connection.close()

    assert content == b"in clear"
    assert client.getmultiline().startswith("226")


# -- rows 17, 18, 20: listings


def test_vsftpd_lists_a_missing_folder_as_empty(start: Start, connect: Connect) -> None:
    assert connect(start()).lines("LIST /missing") == []


def test_esp32_refuses_to_list_a_missing_folder(start: Start, connect: Connect) -> None:
    client = connect(start("p1s"))

    with pytest.raises(ftplib.error_perm, match="550"):
        client.lines("LIST /missing")


@pytest.mark.parametrize(
    ("model", "age", "shown"),
    [
        ("x1c", 3600, "Mar 10 11:00"),
        ("x1c", 181 * DAY, "Sep 10 12:00"),
        ("x1c", 183 * DAY, "Sep 08  2025"),
        ("x1c", -3600, "Mar 10  2026"),
        ("x1c", 214 * DAY, "Aug 08  2025"),
        ("p1s", 3600, "Mar 10 11:00"),
        ("p1s", 181 * DAY, "Sep 10 2025"),
        ("p1s", -3600, "Mar 10 13:00"),
    ],
)
def test_the_forms_of_times_in_listings(model: str, age: float, shown: str, start: Start, connect: Connect) -> None:
    printer = start(model, clock=lambda: NOW)
    put(printer, "a", age=age)

    assert connect(printer).lines()[0].endswith(f" {shown} a")


def test_times_may_be_of_another_zone_and_clock(start: Start, connect: Connect) -> None:
    printer = start(clock=lambda: NOW, quirks={"utc_offset": 480, "clock_error": 7200.0})
    put(printer, "a", age=-3600)
    client = connect(printer)

    assert client.lines()[0].endswith(" Mar 10 21:00 a")
    assert client.answer("MDTM /a") == "213 20260310130000"


@pytest.mark.parametrize(("model", "count"), [("x1c", 0), ("p1s", 1)])
def test_vsftpd_hides_dot_names(model: str, count: int, start: Start, connect: Connect) -> None:
    printer = start(model)
    put(printer, ".hidden")

    assert len(connect(printer).lines()) == count


def test_august_may_be_ago(start: Start, connect: Connect) -> None:
    printer = start("p1s", clock=lambda: NOW, quirks={"ago": True})
    put(printer, "a", age=214 * DAY)

    assert " Ago 08 2025 a" in connect(printer).lines()[0]


def test_the_two_families_write_different_lines(start: Start, connect: Connect) -> None:
    lines = []
    for model in ("x1c", "p1s"):
        printer = start(model, clock=lambda: NOW)
        put(printer, "a.gcode.3mf", content=bytes(92763))
        lines += connect(printer).lines()

    assert lines == [
        "-rwxr-xr-x    1 103      107         92763 Mar 10 12:00 a.gcode.3mf",
        "-rw-rw-rw-   1 root  root    92763 Mar 10 12:00 a.gcode.3mf",
    ]


def test_esp32_lists_in_the_order_of_creation(start: Start, connect: Connect) -> None:
    client = connect(start("p1s"))
    for name in ("c", "a", "b"):
        client.store(f"/{name}", b"")

    assert [line[-1] for line in client.lines()] == ["c", "a", "b"]


@pytest.mark.parametrize(("model", "names"), [("x1c", ["/cache/x"]), ("p1s", ["x"])])
def test_nlst_of_a_path(model: str, names: list[str], start: Start, connect: Connect) -> None:
    printer = start(model)
    put(printer, "cache/x")

    assert connect(printer).lines("NLST /cache") == names


def test_names_come_through_unharmed(start: Start, connect: Connect) -> None:
    printer = start(quirks={"fat_names": False})
    names = [" lead", "two  blanks", "a -> b", "-dash", "Größe", "trail "]
    for name in names:
        put(printer, name)
    (printer.card / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    client = connect(printer)
    client.encoding = "latin-1"

    raw = client.lines()

    shown = {line[56:].encode("latin-1") for line in raw}
    assert shown == {name.encode() for name in names} | {b"\xff\xfe"}


# -- row 19 and FAT: times


def test_a1_mini_stamps_uploads_with_a_wrong_clock(start: Start, connect: Connect) -> None:
    printer = start("a1mini", clock=lambda: NOW)
    client = connect(printer)

    client.store("/a", b"x")

    assert client.answer("MDTM /a") == "213 20260117120000"


def test_fat_keeps_even_seconds(start: Start, connect: Connect) -> None:
    printer = start()
    put(printer, "a", age=-1)
    client = connect(printer)

    assert client.answer("MDTM /a") == "213 20260310120000"
    client.answer("MDTM 20240229120101 /a")
    assert client.answer("MDTM /a") == "213 20240229120100"
    printer.quirks["fat_times"] = False
    assert client.answer("MDTM /a") == "213 20240229120101"


def test_esp32_cannot_set_times(start: Start, connect: Connect) -> None:
    printer = start("p1s")
    place = put(printer, "a")

    assert connect(printer).code("MDTM 20240229120100 /a") == "550"
    assert place.stat().st_mtime == NOW


# -- row 21: the server's folder


def test_esp32_does_not_quote_the_folder(start: Start, connect: Connect) -> None:
    printer = start("p1s")
    (printer.card / "cache").mkdir()
    client = connect(printer)
    client.cwd("/cache")

    assert client.answer("PWD") == "257 /cache"


def test_esp32_forgets_its_folder_after_an_absolute_path(start: Start, connect: Connect) -> None:
    printer = start("p1s")
    put(printer, "cache/a")
    put(printer, "b")
    client = connect(printer)
    client.cwd("/cache")
    assert len(client.lines()) == 1

    client.sendcmd("SIZE /b")

    assert client.answer("PWD") == "257 "
    assert len(client.lines()) == 2
    assert client.code("SIZE b") == "550"


def test_esp32_moves_on_a_cwd_that_fails(start: Start, connect: Connect) -> None:
    printer = start("p1s")
    (printer.card / "cache").mkdir()
    client = connect(printer)

    assert client.code("CWD /cache/missing") == "550"
    assert client.answer("PWD") == "257 /cache"


# -- rows 22, 23: rename and SIZE


@pytest.mark.parametrize(("model", "code", "left"), [("x1c", "250", b"new"), ("p1s", "550", b"old")])
def test_rename_over_an_existing_file(model: str, code: str, left: bytes, start: Start, connect: Connect) -> None:
    printer = start(model)
    put(printer, "new", content=b"new")
    put(printer, "old", content=b"old")
    client = connect(printer)

    client.sendcmd("RNFR /new")
    assert client.code("RNTO /old") == code
    assert (printer.card / "old").read_bytes() == left


@pytest.mark.parametrize(("model", "reply"), [("x1c", "550"), ("p1s", "213 0")])
def test_size_of_a_folder(model: str, reply: str, start: Start, connect: Connect) -> None:
    printer = start(model)
    (printer.card / "cache").mkdir()

    assert connect(printer).answer("SIZE /cache").startswith(reply)


def test_esp32_answers_250_and_does_nothing_for_a_slash_at_the_end(start: Start, connect: Connect) -> None:
    printer = start("p1s")
    (printer.card / "cache").mkdir()

    assert connect(printer).code("RMD /cache/") == "250"
    assert (printer.card / "cache").is_dir()


# -- row 28: names, room, and the state of the card


BAD_NAMES = ("a:b", "a?b", 'a"b', "a*b", "a<b", "a|b", "a\\b", "dot.", "blank ", "x" * 256, "\x07")


@BOTH
@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_fat_cannot_store_are_refused(name: str, model: str, start: Start, connect: Connect) -> None:
    printer = start(model, quirks={"path_limit": 0})
    put(printer, "fine")
    client = connect(printer)

    with pytest.raises(ftplib.error_perm, match="553"):
        client.store(f"/{name}", b"x")
    assert client.code("RNFR /fine") == "350"
    assert client.code(f"RNTO /{name}") in ("550", "553")
    assert [place.name for place in printer.card.iterdir()] == ["fine"]


def test_esp32_takes_short_paths_only(start: Start, connect: Connect) -> None:
    client = connect(start("p1s"))

    assert client.store("/" + "x" * 100, b"x").startswith("226")
    with pytest.raises(ftplib.error_perm):
        client.store("/" + "x" * 120, b"x")


@pytest.mark.parametrize(("model", "code"), [("x1c", "552"), ("p1s", "451")])
def test_a_full_card(model: str, code: str, start: Start, connect: Connect) -> None:
    printer = start(model, quirks={"card_size": 150_000})
    put(printer, "there", content=bytes(50_000))
    client = connect(printer)

    assert client.store("/fits", bytes(100_000)).startswith("226")
    assert client.store("/a", b"x").startswith(code)
    client.sendcmd("DELE /fits")
    assert client.store("/b", b"x").startswith("226")


def test_without_a_card_the_root_is_empty(start: Start, connect: Connect) -> None:
    printer = start("p2s", quirks={"card": "absent"})
    put(printer, "timelapse/a")
    client = connect(printer)

    assert client.lines() == []
    assert client.code("CWD /timelapse") == "550"
    with pytest.raises(ftplib.error_perm):
        client.store("/a", b"x")


def test_without_a_card_a1_may_refuse_even_the_root(start: Start, connect: Connect) -> None:
    assert connect(start("a1mini", quirks={"card": "denied"})).code("CWD /") == "550"


def test_a_read_only_card(start: Start, connect: Connect) -> None:
    printer = start(quirks={"card": "readonly"})
    put(printer, "a", content=b"old")
    client = connect(printer)

    with pytest.raises(ftplib.error_perm, match="553"):
        client.store("/a", b"new")
    assert [client.code(f"{verb} /a") for verb in ("DELE", "MKD", "RMD", "SIZE")] == ["550", "550", "550", "213"]
    assert client.fetch("/a")[0] == b"old"


# -- rows 29, 30, 31


def test_two_stores_to_one_path_at_a_time_end_as_one_mixed_file(start: Start, connect: Connect) -> None:
    printer = start("a1", quirks={"max_clients": 2, "data_port": -1})
    first, second = connect(printer), connect(printer)

    gate = printer.hold("STOR", after_bytes=5)
    connections = []
    for client, letter in ((first, b"1"), (second, b"2")):
        connections.append(client.begin_store("/a", letter * 10))
        wait_until(lambda part=letter * 5: (printer.card / "a").read_bytes() == part, "half")  # type: ignore[misc]
    gate.release()
    for connection in connections:
        close_data(connection, "one-way")

    assert first.getmultiline()[:3] == second.getmultiline()[:3] == "226"
    content = (printer.card / "a").read_bytes()
    assert (len(content), content.count(b"1"), content.count(b"2")) == (15, 5, 10)


def test_files_appear_and_vanish_and_films_grow(start: Start, connect: Connect) -> None:
    printer = start("p2s")
    put(printer, "cache/mine.3mf")

    printer.live(8)
    size = next(printer.card.glob("timelapse/*")).stat().st_size
    printer.live()

    kept = sorted(place.name for place in (printer.card / "cache").iterdir())
    assert kept == [f"job_{number:04d}.3mf" for number in range(4, 10)] + ["mine.3mf"]
    assert next(printer.card.glob("timelapse/*")).stat().st_size > size


def test_a_restless_printer_changes_its_card_by_itself(start: Start) -> None:
    printer = start("p2s", quirks={"restless": 0.01})

    wait_until(lambda: list(printer.card.glob("cache/job_*")), "a file that nobody sent")


def test_the_same_seed_gives_the_same_files(start: Start, tmp_path: Path) -> None:
    contents = []
    for number in range(2):
        with Printer(card=tmp_path / f"card{number}", mqtt=False, seed=5) as printer:
            printer.live(3)
            contents.append([place.read_bytes() for place in sorted(printer.card.rglob("*")) if place.is_file()])

    assert contents[0] == contents[1]


@BOTH
def test_names_that_differ_in_case_are_one_file(model: str, start: Start, connect: Connect) -> None:
    printer = start(model)
    put(printer, "Cache/Benchy.3mf", content=b"12345")
    client = connect(printer)

    assert client.answer("SIZE /cache/BENCHY.3MF") == "213 5"
    assert client.store("/CACHE/benchy.3mf", b"1").startswith("226")
    assert [place.name for place in (printer.card / "Cache").iterdir()] == ["Benchy.3mf"]
    assert client.code("MKD /cache") == "550"


@BOTH
def test_the_case_of_a_name_can_be_changed(model: str, start: Start, connect: Connect) -> None:
    printer = start(model)
    put(printer, "benchy")
    client = connect(printer)

    client.sendcmd("RNFR /benchy")

    assert client.code("RNTO /Benchy") == "250"
    assert [place.name for place in printer.card.iterdir()] == ["Benchy"]


# -- hostile answers


def test_the_greeting_can_be_tampered_with(start: Start, connect: Connect) -> None:
    printer = start()
    printer.tamper("", reply=lambda raw: b"220 hello\r\n")

    assert connect(printer, signed_in=False).welcome == "220 hello"


def test_replies_and_data_can_be_tampered_with(start: Start, connect: Connect) -> None:
    printer = start()
    put(printer, "a", content=b"content")
    client = connect(printer)

    printer.tamper("SIZE", reply=lambda raw: b"213 99999999999999999999999999\r\n")
    printer.tamper("LIST", data=lambda raw: b"garbage\r\n" + raw)
    printer.tamper("RETR", data=lambda raw: raw + b" and more")

    assert client.answer("SIZE /a") == "213 99999999999999999999999999"
    assert len(client.lines()) == 2
    assert client.fetch("/a")[0] == b"content and more"
    printer.tamper("SIZE")
    assert client.answer("SIZE /a") == "213 7"
