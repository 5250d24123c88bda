"""The files on the printer, by verbs that either happened or raise a true error, on simulated printers."""

from __future__ import annotations

import errno
import io
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bambufs import interrupts
from bambufs.errors import (
    CardFull,
    CardRefused,
    ConnectionDropped,
    Interrupted,
    InvalidName,
    PrinterBusy,
    PrinterError,
    PrinterUnreachable,
)
from bambufs.printer.card import Card
from bambufs.printer.entry import Entry
from bambufs.printer.pool import SessionPool
from bambufs.printer.session import FtpsSession, Manners, Target, Timeouts
from bambufs.printer.trust import make_context
from bambufs.printer.upload import Upload
from bambufs.simulator import Printer
from tests.support.waiting import wait_until

CALM = Timeouts(connect=5.0, greet=5.0, reply=5.0, stall=5.0, final_reply=5.0)
EXACT = 1_234_567_890
NEW, OLD = b"new content", b"old content"
BIG = b"x" * 100_000

BOTH = pytest.mark.parametrize("model", ["x1c", "p1s"])
Start = Callable[..., tuple[Card, Printer]]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(tmp_path: Path, stack: ExitStack) -> Start:
    """Starts a printer and a `Card` that is connected to it."""

    def make(
        model: str = "x1c",
        *,
        manners: Manners | None = None,
        overlaps: bool = True,
        sessions: int = 3,
        **quirks: object,
    ) -> tuple[Card, Printer]:
        folder = tmp_path / "card"
        (folder / "cache").mkdir(parents=True)
        printer = stack.enter_context(Printer(model=model, card=folder, mqtt=False, quirks=quirks))  # type: ignore[arg-type]
        target = Target(printer.host, printer.ftps_port, printer.access_code, make_context())
        target = replace(target, manners=manners or Manners())
        pool = SessionPool(lambda: FtpsSession.open(target, CALM), limit=sessions, probe_every=0.5)
        card = Card(pool, overlaps=overlaps)
        stack.callback(card.close)
        return card, printer

    return make


def store(card: Card, content: bytes, path: str = "/cache/x.3mf", *, mtime: int = EXACT) -> Upload:
    """Store ``content`` as ``path``."""
    upload = Upload(io.BytesIO(content), path, size=len(content), mtime=mtime)
    card.store(upload)
    return upload


def on_card(printer: Printer, path: str = "cache/x.3mf") -> bytes:
    """What the printer holds."""
    return (printer.card / path).read_bytes()


def put(printer: Printer, path: str, content: bytes = OLD) -> None:
    """A file on the printer."""
    (printer.card / path).write_bytes(content)


def names(printer: Printer, folder: str = "cache") -> list[str]:
    """Every name on the card in ``folder``, hidden ones too."""
    return sorted(path.name for path in (printer.card / folder).iterdir())


def tidy(printer: Printer) -> bool:
    """Whether no left-over of ours lies on the card."""
    return not any(printer.card.rglob(".bambufs-*"))


def verbs(printer: Printer) -> list[str]:
    """What was asked after the logins."""
    quiet = {"USER", "PASS", "TYPE", "PBSZ", "PROT", "PASV", "QUIT", "NOOP"}
    return [command.verb for command in printer.log if command.verb not in quiet]


def later(act: Callable[[], object], stack: ExitStack) -> Future[object]:
    """Let ``act`` run in a thread."""
    return stack.enter_context(ThreadPoolExecutor(1)).submit(act)


# --- looking --------------------------------------------------------------------------------------


@BOTH
def test_folder_is_listed(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/a b.3mf")
    assert [(entry.name, entry.size) for entry in card.list("/cache")] == [("a b.3mf", len(OLD))]


@BOTH
def test_missing_folder_is_told(start: Start, model: str) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        start(model)[0].list("/nope")
    assert missing.value.filename == "/nope"


def test_printer_without_a_card_asks_for_it(start: Start) -> None:
    with pytest.raises(CardRefused, match="is its card"):
        start(card="denied")[0].list("/")


@BOTH
def test_size_of_a_file_is_told(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf", b"12345")
    assert card.size("/cache/x.3mf") == 5


@BOTH
def test_missing_file_has_no_size(start: Start, model: str) -> None:
    assert start(model)[0].size("/cache/nope") is None


def test_printer_without_size_is_asked_for_a_listing(start: Start) -> None:
    card, printer = start(refused="SIZE")
    put(printer, "cache/x.3mf", b"12345")
    assert card.size("/cache/x.3mf") == 5


@BOTH
def test_listing_survives_a_lost_connection(start: Start, model: str) -> None:
    card, printer = start(model)
    card.list("/")
    printer.drop_sessions()
    assert [entry.name for entry in card.list("/")] == ["cache"]


def test_listing_is_asked_twice_at_most(start: Start) -> None:
    card, printer = start()
    printer.quirks["refuse_data"] = True
    with pytest.raises(ConnectionDropped):
        card.list("/")
    assert verbs(printer).count("CWD") == 2


def test_odd_line_is_told_once(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    card, printer = start()
    printer.tamper("LIST", data=lambda raw: raw + b"junk \xff\r\n")
    for _ in range(3):
        card.list("/")
    assert [record.getMessage() for record in caplog.records if "junk" in record.getMessage()] == [
        "the printer lists something that cannot be shown: 'junk \\udcff'"
    ]


def test_only_so_many_odd_lines_are_told(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    card, printer = start()
    junk = "".join(f"junk {number}{'x' * 1000}\r\n" for number in range(500)).encode()
    printer.tamper("LIST", data=lambda raw: raw + junk)
    assert [entry.name for entry in card.list("/")] == ["cache"]
    card.list("/")
    told = [record.getMessage() for record in caplog.records if "cannot be shown" in record.getMessage()]
    assert len(told) == 201
    assert told[-1] == "the printer lists more that cannot be shown; no more of it is told here"
    assert max(map(len, told)) < 300


def test_exact_times_are_told(start: Start) -> None:
    card, _ = start(fat_times=False)
    store(card, NEW)
    assert card.modified("/cache", ["x.3mf", "missing"]) == {"x.3mf": EXACT}


def test_exact_times_are_told_one_by_one_too(start: Start) -> None:
    card, _ = start(fat_times=False, manners=Manners(pipelines=False))
    store(card, NEW)
    assert card.modified("/cache", ["missing", "x.3mf"]) == {"x.3mf": EXACT}


def test_exact_times_are_not_asked_for_where_they_are_by_the_printers_own_clock(start: Start) -> None:
    card, printer = start("p1s")
    card.connect()
    assert card.modified("/cache", ["x.3mf"]) == {}
    assert "MDTM" not in verbs(printer)


@pytest.mark.parametrize("code", ["502", "550"])
def test_exact_times_are_not_asked_for_again_where_none_is_told(start: Start, code: str) -> None:
    card, printer = start(refused=f"MDTM:{code}")
    card.connect()
    names = [str(number) for number in range(5)]
    for _ in range(2):
        assert card.modified("/cache", names) == {}
    assert verbs(printer).count("MDTM") == len(names)


def by_name(wanted: str) -> Callable[[Sequence[Entry]], Sequence[Entry]]:
    """Picks the entries whose names begin so."""
    return lambda entries: [entry for entry in entries if entry.name.startswith(wanted)]


@pytest.mark.parametrize("pipelines", [True, False])
def test_exact_times_come_with_the_listing(start: Start, pipelines: bool) -> None:
    card, printer = start(fat_times=False, manners=Manners(pipelines=pipelines))
    store(card, NEW)
    put(printer, "cache/other")
    found = card.list_exactly("/cache", by_name("x"))
    assert [entry.name for entry in found.entries] == ["other", "x.3mf"]
    assert [entry.name for entry in found.vague] == ["x.3mf"]
    assert found.times == {"x.3mf": EXACT}
    assert verbs(printer).count("LIST") == 1


def test_exact_times_of_very_many_come_too(start: Start) -> None:
    card, printer = start(fat_times=False)
    for number in range(1100):
        put(printer, f"cache/{number}")
    assert len(card.list_exactly("/cache", by_name("")).times) == 1100


def test_exact_listing_of_an_esp32_asks_for_no_times(start: Start) -> None:
    card, printer = start("p1s")
    put(printer, "cache/x.3mf")
    assert card.list_exactly("/cache", by_name("x")).times == {}
    assert "MDTM" not in verbs(printer)


def test_exact_listing_of_a_missing_folder_is_told(start: Start) -> None:
    card, _ = start()
    with pytest.raises(FileNotFoundError):
        card.list_exactly("/nowhere", by_name(""))


# --- reading --------------------------------------------------------------------------------------


def everything(card: Card, path: str, length: int, offset: int = 0) -> bytes:
    """``length`` bytes of a file."""
    with card.open_read(path, offset, length) as reading:
        return b"".join(iter(lambda: reading.read(65536), b""))


@BOTH
@pytest.mark.parametrize("size", [0, 1, 1024, 100_000])
def test_file_is_read_whole(start: Start, model: str, size: int) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf", b"x" * size)
    assert everything(card, "/cache/x.3mf", size) == b"x" * size


@BOTH
def test_session_is_of_use_after_reading(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf", b"x" * 1024)
    everything(card, "/cache/x.3mf", 1024)
    card.list("/")
    assert verbs(printer) == ["SIZE", "MDTM", "RETR", "CWD", "LIST"]
    assert card.pool.state["opened"] == 1


@BOTH
@pytest.mark.parametrize("pipelines", [True, False])
def test_transfer_tells_which_version_it_is_of(start: Start, model: str, pipelines: bool) -> None:
    card, printer = start(model, manners=Manners(pipelines=pipelines))
    versions = []
    for content, mtime in ((OLD, EXACT), (OLD, EXACT + 60), (NEW * 2, EXACT)):
        put(printer, "cache/x.3mf", content)
        os.utime(printer.card / "cache/x.3mf", (mtime, mtime))
        with card.open_read("/cache/x.3mf", 0, len(content)) as reading:
            assert reading.read(100) == content
            versions.append(reading.version)
    assert None not in versions
    assert len(set(versions)) == 3


def test_transfer_is_of_use_where_no_sizes_are_told(start: Start) -> None:
    card, printer = start(refused="SIZE:502")
    put(printer, "cache/x.3mf")
    with card.open_read("/cache/x.3mf", 0, len(OLD)) as reading:
        assert (reading.read(100), reading.version) == (OLD, None)


def test_file_is_read_from_the_middle(start: Start) -> None:
    card, printer = start()
    put(printer, "cache/x.3mf", b"0123456789")
    assert everything(card, "/cache/x.3mf", 4, offset=6) == b"6789"


@BOTH
def test_missing_file_is_told_when_read(start: Start, model: str) -> None:
    card, _ = start(model)
    with pytest.raises(FileNotFoundError):
        everything(card, "/cache/nope", 5)


@BOTH
def test_file_that_ends_early_is_an_error(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf", b"x" * 1000)
    printer.quirks.once("short_retr", 400, times=1)
    with pytest.raises(ConnectionDropped, match="600 bytes early"):
        everything(card, "/cache/x.3mf", 1000)


@BOTH
def test_reading_may_end_early(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf", b"x" * 3_000_000)
    with card.open_read("/cache/x.3mf", 0, 3_000_000) as reading:
        reading.read(1000)
    assert [entry.name for entry in card.list("/")] == ["cache"]


def test_session_survives_a_read_that_ends_early_where_the_family_does(start: Start) -> None:
    card, printer = start()
    put(printer, "cache/x.3mf", b"x" * 3_000_000)
    with card.open_read("/cache/x.3mf", 0, 3_000_000) as reading:
        reading.read(1000)
    card.list("/")
    assert card.pool.state["opened"] == 1


def test_missing_rest_is_learnt(start: Start) -> None:
    card, printer = start(rest=False)
    put(printer, "cache/x.3mf", b"0123456789")
    card.connect()
    assert card.can_start_anywhere
    with pytest.raises(ConnectionDropped):
        everything(card, "/cache/x.3mf", 4, offset=6)
    assert not card.can_start_anywhere


def test_esp32_is_known_to_lack_rest(start: Start) -> None:
    card, _ = start("p1s")
    card.connect()
    assert not card.can_start_anywhere


# --- storing --------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("size", [0, 1, 65536, 500_000])
def test_file_is_stored_whole(start: Start, model: str, size: int) -> None:
    card, printer = start(model)
    store(card, b"x" * size)
    assert on_card(printer) == b"x" * size


def test_file_goes_out_under_a_part_name_and_is_renamed(start: Start) -> None:
    card, printer = start()
    part = store(card, NEW).part
    steps = ("STOR", "SIZE", "RNFR", "RNTO")
    told = [(command.verb, command.argument) for command in printer.log if command.verb in steps]
    assert told == [("STOR", part), ("SIZE", part), ("RNFR", part), ("RNTO", "/cache/x.3mf")]


def test_part_name_is_hidden_and_beside_the_file() -> None:
    upload = Upload(io.BytesIO(), "/cache/x.3mf", size=0, mtime=0)
    assert upload.part.startswith("/cache/.")
    assert not upload.part.endswith(".3mf")


def test_part_names_lie_further_up_where_they_would_be_too_long_for_the_printer(start: Start) -> None:
    card, printer = start("p1s")
    card.connect()
    deep = f"/cache/{'d' * 96}"
    (printer.card / deep[1:]).mkdir()
    for content in (OLD, NEW):
        part = store(card, content, f"{deep}/x.3mf").part
    assert part.startswith("/cache/.")
    assert on_card(printer, f"{deep[1:]}/x.3mf") == NEW
    assert tidy(printer)


@BOTH
@pytest.mark.parametrize("refusal", ["RNFR", "RNFR:550", "RNTO:500"])
def test_file_is_stored_in_place_where_nothing_is_renamed(start: Start, model: str, refusal: str) -> None:
    card, printer = start(model, refused=refusal)
    put(printer, "cache/x.3mf")
    for content in (b"one", b"two", NEW):
        upload = store(card, content)
    assert on_card(printer) == NEW
    assert upload.time_kept == (model == "x1c")
    assert tidy(printer)
    assert [verb for verb in verbs(printer) if verb == "STOR"] == ["STOR"] * 5


@BOTH
def test_loss_before_anything_was_sent_in_place_is_not_taken_for_success(start: Start, model: str) -> None:
    card, printer = start(model, refused="RNFR", accept_timeout=0.1)
    for _ in range(2):
        store(card, OLD)
    printer.quirks.once("refuse_data", True, times=1)
    store(card, NEW)
    assert on_card(printer) == NEW


@BOTH
def test_half_file_in_place_is_removed(start: Start, model: str) -> None:
    card, printer = start(model, refused="RNFR")
    for _ in range(2):
        store(card, OLD)
    printer.quirks.once("drop_after", 100_000, times=2)
    with pytest.raises(PrinterError):
        store(card, b"x" * 500_000)
    wait_until(lambda: names(printer) == [], "the half file to be removed")


@BOTH
def test_whole_file_that_has_taken_the_place_of_a_half_one_stays(start: Start, model: str) -> None:
    card, printer = start(model, refused="RNFR")
    for _ in range(2):
        store(card, OLD)
    with chores_put_off(card) as put_off:
        printer.quirks.once("drop_after", 100_000, times=2)
        with pytest.raises(PrinterError):
            store(card, b"x" * 500_000)
        store(card, NEW)
    for do in put_off:
        do()
    assert on_card(printer) == NEW


@contextmanager
def chores_put_off(card: Card) -> Iterator[list[Callable[[], None]]]:
    """Do nothing in the background; gives what there is to do."""
    janitor, chores = card._access.janitor, list[Callable[[], None]]()
    janitor.give = lambda do, name, **_: chores.append(do)  # type: ignore[method-assign]
    yield chores
    del janitor.give


@BOTH
@pytest.mark.parametrize("refusal", ["RNFR", "RNFR:550", "RNTO:500"])
def test_renaming_where_nothing_is_renamed_is_told_apart(start: Start, model: str, refusal: str) -> None:
    card, printer = start(model, refused=refusal)
    put(printer, "cache/x.3mf")
    with pytest.raises(OSError, match="cannot rename") as caught:
        card.rename("/cache/x.3mf", "/cache/y.3mf")
    assert caught.value.errno == errno.EXDEV
    with pytest.raises(FileNotFoundError):
        card.rename("/cache/missing.3mf", "/cache/y.3mf")


def test_refused_creation_in_place_keeps_the_old_file(start: Start) -> None:
    card, printer = start("x1c", refused="RNFR")
    for _ in range(2):
        store(card, OLD)
    printer.quirks["card"] = "readonly"
    with pytest.raises(CardRefused, match="writable"):
        store(card, NEW)
    card.close()  # and with it the tidying up
    assert on_card(printer) == OLD


@BOTH
def test_stored_file_replaces_the_old_one(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    store(card, NEW)
    assert on_card(printer) == NEW


@BOTH
def test_nothing_of_ours_is_left_on_the_card(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    store(card, NEW)
    assert names(printer) == ["x.3mf"]


def test_time_is_set_where_the_printer_takes_it(start: Start) -> None:
    card, printer = start()
    assert store(card, NEW).time_kept
    assert (printer.card / "cache/x.3mf").stat().st_mtime == EXACT


def test_printer_that_takes_no_times_is_asked_once(start: Start) -> None:
    card, printer = start("p1s")
    assert not store(card, NEW).time_kept
    store(card, NEW)
    assert not card.set_time("/cache/x.3mf", EXACT)
    assert verbs(printer).count("MDTM") == 1


def test_progress_is_told(start: Start) -> None:
    card, _ = start()
    told: list[int] = []
    card.store(Upload(io.BytesIO(b"x" * 200_000), "/x", size=200_000, mtime=EXACT, on_progress=told.append))
    assert told[-1] == 200_000


@BOTH
def test_folder_that_is_missing_is_told(start: Start, model: str) -> None:
    card, _ = start(model)
    with pytest.raises(FileNotFoundError) as missing:
        store(card, NEW, "/nope/x.3mf")
    assert missing.value.filename == "/nope"


@BOTH
def test_full_card_is_told(start: Start, model: str) -> None:
    card, _ = start(model, card_size=100_000)
    with pytest.raises(CardFull):
        store(card, b"x" * 3_000_000)


@BOTH
def test_full_card_keeps_the_old_file(start: Start, model: str) -> None:
    card, printer = start(model, card_size=100_000)
    put(printer, "cache/x.3mf")
    with pytest.raises(CardFull):
        store(card, b"x" * 3_000_000)
    assert on_card(printer) == OLD


@BOTH
def test_part_file_is_removed_after_a_failure(start: Start, model: str) -> None:
    card, printer = start(model, card_size=100_000)
    with pytest.raises(CardFull):
        store(card, b"x" * 3_000_000)
    wait_until(lambda: tidy(printer), "the part file to be removed")


def test_card_that_cannot_be_written_is_told(start: Start) -> None:
    card, _ = start(card="readonly")
    with pytest.raises(CardRefused, match="writable"):
        store(card, NEW)


@BOTH
def test_name_that_the_card_cannot_store_is_told(start: Start, model: str) -> None:
    card, printer = start(model)
    with pytest.raises(InvalidName):
        store(card, NEW, "/cache/a:b")
    wait_until(lambda: tidy(printer), "the part file to be removed")


@BOTH
def test_upload_that_breaks_off_is_sent_again(start: Start, model: str) -> None:
    card, printer = start(model)
    printer.quirks.once("drop_after", 100_000, times=1)
    store(card, b"x" * 500_000)
    assert on_card(printer) == b"x" * 500_000


@BOTH
def test_upload_that_is_sent_again_takes_another_part_name(start: Start, model: str) -> None:
    """A printer that hung may carry out the first STOR only when the second is through, and would empty its file."""
    card, printer = start(model)
    printer.quirks.once("drop_after", 100_000, times=1)
    store(card, b"x" * 500_000)
    first, second = (command.argument for command in printer.log if command.verb == "STOR")
    assert first != second
    wait_until(lambda: tidy(printer), "the first part file to be removed")


def test_part_file_that_a_hung_printer_makes_late_is_removed(start: Start) -> None:
    card, printer = start("x1c")
    card._storing._late = 0.5
    printer.quirks.once("drop_after", 100_000, times=1)
    store(card, b"x" * 500_000)
    first, *_ = (command.argument for command in printer.log if command.verb == "STOR")
    printer.wait_for("DELE")
    wait_until(lambda: tidy(printer), "the first part file to be removed")
    (printer.card / first[1:]).write_bytes(b"late")
    wait_until(lambda: tidy(printer), "it to be removed again")


@BOTH
def test_upload_that_breaks_off_twice_fails(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    printer.quirks.once("drop_after", 100_000, times=2)
    with pytest.raises(PrinterError):
        store(card, b"x" * 500_000)
    assert on_card(printer) == OLD


@BOTH
def test_half_file_that_the_printer_takes_for_whole_is_sent_again(start: Start, model: str) -> None:
    card, printer = start(model)
    sizes = iter([b"213 5\r\n"] * 2)
    printer.tamper("SIZE", reply=lambda raw: next(sizes, raw))
    store(card, NEW)
    assert (on_card(printer), verbs(printer).count("STOR")) == (NEW, 2)


@BOTH
@pytest.mark.parametrize("old", [OLD, b"of another size"], ids=["same size", "other size"])
def test_loss_before_anything_was_sent_is_not_taken_for_success(start: Start, model: str, old: bytes) -> None:
    card, printer = start(model, accept_timeout=0.1)
    put(printer, "cache/x.3mf", old)
    card.connect()
    printer.quirks.once("refuse_data", True, times=1)
    store(card, NEW)
    assert on_card(printer) == NEW


@BOTH
def test_loss_between_renaming_and_its_reply_is_success(start: Start, model: str, stack: ExitStack) -> None:
    card, printer = start(model)
    with printer.hold("RNTO") as gate:
        storing = later(lambda: store(card, NEW), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    storing.result(10)
    assert (names(printer), on_card(printer)) == (["x.3mf"], NEW)


def test_loss_between_renaming_and_its_reply_sends_nothing_again(start: Start, stack: ExitStack) -> None:
    card, printer = start()
    put(printer, "cache/x.3mf")
    with printer.hold("RNTO") as gate:
        storing = later(lambda: store(card, NEW), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    storing.result(10)
    assert (on_card(printer), verbs(printer).count("STOR")) == (NEW, 1)


@BOTH
def test_loss_before_the_renaming_only_renames_again(start: Start, model: str, stack: ExitStack) -> None:
    card, printer = start(model)
    with printer.hold("RNTO", before="command") as gate:
        storing = later(lambda: store(card, NEW), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    storing.result(10)
    assert (on_card(printer), verbs(printer).count("STOR")) == (NEW, 1)


@BOTH
def test_loss_before_the_old_file_was_put_aside_puts_it_aside_again(
    start: Start, model: str, stack: ExitStack
) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    with printer.hold("RNTO", before="command") as gate:
        storing = later(lambda: store(card, NEW), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    storing.result(10)
    assert on_card(printer) == NEW
    wait_until(lambda: tidy(printer), "everything else to be removed")


def test_interrupted_upload_leaves_the_old_file(start: Start) -> None:
    card, printer = start()
    put(printer, "cache/x.3mf")
    with printer.hold("STOR", after_bytes=100_000) as gate:
        with interrupts.watched(gate.reached.is_set), pytest.raises(Interrupted):
            store(card, b"x" * 20_000_000)
    assert on_card(printer) == OLD
    wait_until(lambda: tidy(printer), "the part file to be removed")


def test_uploads_go_one_at_a_time(start: Start, stack: ExitStack) -> None:
    card, printer = start()
    card.connect()
    with printer.hold("STOR", after_bytes=1) as gate:
        first = later(lambda: store(card, BIG, "/a"), stack)
        assert gate.reached.wait(5)
        second = later(lambda: store(card, BIG, "/b"), stack)
        card.list("/")
        assert (verbs(printer).count("STOR"), second.done()) == (1, False)
    first.result(10)
    second.result(10)


@pytest.mark.parametrize("first_content", [NEW, BIG])
def test_small_upload_waits_with_its_bytes_at_most_for_another_small_one(
    start: Start, stack: ExitStack, first_content: bytes
) -> None:
    card, printer = start()
    card.connect()
    begun = 2 if first_content is NEW else 1
    with printer.hold("STOR", after_bytes=1) as gate:
        first = later(lambda: store(card, first_content, "/a"), stack)
        assert gate.reached.wait(5)
        second = later(lambda: store(card, OLD, "/b"), stack)
        wait_until(lambda: len(parts(printer)) == begun, "the second one's part file, if there shall be one")
        card.list("/")
        assert sum(size > 0 for size in parts(printer)) <= 1
        assert not second.done()
    first.result(10)
    second.result(10)
    assert (on_card(printer, "a"), on_card(printer, "b")) == (first_content, OLD)


def parts(printer: Printer) -> list[int]:
    """The sizes of the part files on the card."""
    return [file.stat().st_size for file in printer.card.rglob(".bambufs-*.part")]


def test_next_upload_waits_for_the_end_of_the_one_before_unless_they_may_overlap(
    start: Start, stack: ExitStack
) -> None:
    card, printer = start(overlaps=False)
    card.connect()
    with printer.hold("RNTO", before="reply") as gate:
        first = later(lambda: store(card, NEW, "/a"), stack)
        assert gate.reached.wait(5)
        second = later(lambda: store(card, OLD, "/b"), stack)
        wait_until(lambda: card._storing.is_wanted, "the second to wait")
        assert verbs(printer).count("STOR") == 1
    first.result(10)
    second.result(10)
    assert (on_card(printer, "a"), on_card(printer, "b")) == (NEW, OLD)


def test_next_upload_is_sent_while_the_one_before_is_renamed(start: Start, stack: ExitStack) -> None:
    card, printer = start()
    card.connect()
    with printer.hold("RNFR", before="command") as gate:
        first = later(lambda: store(card, NEW, "/a"), stack)
        assert gate.reached.wait(5)
        second = later(lambda: store(card, OLD, "/b"), stack)
        wait_until(lambda: verbs(printer).count("STOR") == 2, "the second upload")
        assert not first.done()
    first.result(10)
    second.result(10)
    assert (on_card(printer, "a"), on_card(printer, "b")) == (NEW, OLD)


@pytest.mark.parametrize("sessions", [1, 2])
def test_upload_that_waits_to_send_gives_way_to_none_that_waits_for_its_session(
    start: Start, stack: ExitStack, sessions: int
) -> None:
    card, printer = start(sessions=sessions)
    card.connect()
    with printer.hold("STOR", after_bytes=1) as gate:
        first = later(lambda: store(card, NEW, "/a"), stack)
        assert gate.reached.wait(5)
        second = later(lambda: store(card, OLD, "/b"), stack)
        wait_until(lambda: card.pool.is_wanted, "the second to wait for a session")
        printer.drop_sessions()
    come_to_an_end(card, first, second)
    assert (on_card(printer, "a"), on_card(printer, "b")) == (NEW, OLD)


@pytest.mark.parametrize("content", [OLD, BIG], ids=["small", "big"])
def test_upload_in_place_waits_to_send_without_a_session(start: Start, stack: ExitStack, content: bytes) -> None:
    card, printer = start(sessions=2, refused="RNFR:550")
    card.connect()
    with printer.hold("RNFR") as gate:
        first = later(lambda: store(card, NEW, "/a"), stack)
        assert gate.reached.wait(5)
        second = later(lambda: store(card, content, "/b"), stack)
        wait_until(lambda: card.pool.is_wanted, "the second to wait for a session")
    come_to_an_end(card, first, second)
    assert (on_card(printer, "a"), on_card(printer, "b")) == (NEW, content)


def come_to_an_end(card: Card, *uploads: Future[object]) -> None:
    """Wait for ``uploads``; those that wait for each other are ended by closing ``card``."""
    try:
        for upload in uploads:
            upload.result(10)
    except TimeoutError:
        card.close()
        raise


def test_switched_off_printer_is_told(start: Start) -> None:
    card, printer = start()
    printer.switch_off()
    with pytest.raises(PrinterUnreachable):
        store(card, NEW)


# --- a printer that cannot rename over --------------------------------------------------------------


def test_old_file_is_put_aside_before_the_new_one_takes_its_place(start: Start) -> None:
    card, printer = start("p1s")
    put(printer, "cache/x.3mf")
    part = store(card, NEW).part
    renames = [command.argument for command in printer.log if command.verb in ("RNFR", "RNTO")]
    aside = renames[1]
    assert aside.startswith("/cache/.bambufs-")
    assert renames == ["/cache/x.3mf", aside, part, "/cache/x.3mf"]


def test_old_content_survives_a_refused_renaming(start: Start) -> None:
    card, printer = start("p1s")
    put(printer, "cache/x.3mf")
    refuse_renaming_of_parts(printer)
    with pytest.raises(InvalidName):
        store(card, NEW)
    wait_until(lambda: tidy(printer), "the part files to be removed")
    assert on_card(printer) == OLD


def refuse_renaming_of_parts(printer: Printer) -> None:
    """Let the second RNTO fail: the one that would put the new file into its place."""
    replies: list[bytes] = []

    def second_fails(raw: bytes) -> bytes:
        replies.append(raw)
        return b"550 \r\n" if len(replies) == 2 else raw

    target = printer.card / "cache/x.3mf"
    moved = printer.card / "cache/moved-away"

    def tampered(raw: bytes) -> bytes:
        answer = second_fails(raw)
        if len(replies) == 2:  # what the printer did is undone, as if it had refused
            target.rename(moved)
        return answer

    printer.tamper("RNTO", reply=tampered)


@pytest.mark.parametrize("number", [1, 2])
def test_loss_while_the_old_file_is_put_aside_leaves_no_litter(start: Start, stack: ExitStack, number: int) -> None:
    card, printer = start("p1s")
    put(printer, "cache/x.3mf")
    with ExitStack() as gates:
        gate = gates.enter_context(printer.hold("RNTO"))
        storing = later(lambda: store(card, NEW), stack)
        for _ in range(number - 1):
            assert gate.reached.wait(5)
            following = gates.enter_context(printer.hold("RNTO"))
            gate.release()
            gate = following
        assert gate.reached.wait(5)
        printer.drop_sessions()
    storing.result(10)
    assert on_card(printer) == NEW
    wait_until(lambda: tidy(printer), "the old file to be removed")


def test_what_is_put_back_late_replaces_nothing_newer(start: Start, stack: ExitStack) -> None:
    card, printer = start("p1s")
    put(printer, "cache/x.3mf")
    with chores_put_off(card) as put_off:
        lose_after_put_aside(printer, later(lambda: store(card, NEW), stack), "RNTO")
        wait_until(lambda: comes_back(card, printer), "the printer to be let in to")
        store(card, b"newest")
    for do in put_off:
        do()
    assert (names(printer), on_card(printer)) == (["x.3mf"], b"newest")


def lose_after_put_aside(printer: Printer, moving: Future[object], verb: str) -> None:
    """The printer goes away for a while once it has carried out ``verb``; ``moving`` fails."""
    with printer.hold(verb) as gate:
        assert gate.reached.wait(5)
        printer.switch_off()
    with pytest.raises(PrinterError):
        moving.result(10)
    printer.switch_on()


def comes_back(card: Card, printer: Printer) -> bool:
    """Whether the printer lets us in."""
    try:
        card.connect()
    except PrinterUnreachable:
        return False
    return True


@BOTH
def test_folder_that_another_computer_made_is_not_replaced(start: Start, model: str) -> None:
    card, printer = start(model)
    (printer.card / "cache/x.3mf").mkdir()
    put(printer, "cache/x.3mf/inside")
    with pytest.raises(OSError, match="not empty") as caught:
        store(card, NEW)
    assert caught.value.errno == errno.ENOTEMPTY
    wait_until(lambda: tidy(printer), "the part file to be removed")
    assert on_card(printer, "cache/x.3mf/inside") == OLD


# --- renaming -------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("moved", ["file", "folder"])
def test_nothing_is_moved_onto_a_folder_with_something_in_it(start: Start, model: str, moved: str) -> None:
    card, printer = start(model)
    (printer.card / "cache/folder").mkdir()
    put(printer, "cache/file")
    (printer.card / "cache/there").mkdir()
    put(printer, "cache/there/inside")
    with pytest.raises(OSError, match="not empty"):
        card.rename(f"/cache/{moved}", "/cache/there")
    assert names(printer) == ["file", "folder", "there"]
    assert on_card(printer, "cache/there/inside") == OLD


@BOTH
def test_folder_replaces_an_empty_one(start: Start, model: str) -> None:
    card, printer = start(model)
    (printer.card / "cache/folder").mkdir()
    put(printer, "cache/folder/inside")
    (printer.card / "cache/there").mkdir()
    card.rename("/cache/folder", "/cache/there")
    assert (names(printer), on_card(printer, "cache/there/inside")) == (["there"], OLD)


@BOTH
@pytest.mark.parametrize("when", ["command", "reply"])
@pytest.mark.parametrize("is_dir", [False, True], ids=["file", "folder"])
def test_change_of_case_settles_after_a_lost_connection(
    start: Start, model: str, when: str, is_dir: bool, stack: ExitStack
) -> None:
    card, printer = start(model)
    (printer.card / "cache/x.3mf").mkdir() if is_dir else put(printer, "cache/x.3mf")
    with printer.hold("RNTO", before=when) as gate:  # type: ignore[arg-type]
        renaming = later(lambda: card.rename("/cache/x.3mf", "/cache/X.3mf"), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    renaming.result(10)
    assert names(printer) == ["X.3mf"]


def test_change_of_case_that_breaks_off_leaves_the_old_name(start: Start, stack: ExitStack) -> None:
    card, printer = start("p1s")
    put(printer, "cache/x.3mf")
    lose_after_put_aside(printer, later(lambda: card.rename("/cache/x.3mf", "/cache/X.3mf"), stack), "RNTO")
    wait_until(lambda: names(printer) == ["x.3mf"], "the old name to come back")


def test_rename_that_breaks_off_puts_back_what_it_put_aside(start: Start, stack: ExitStack) -> None:
    card, printer = start("p1s")
    put(printer, "cache/x.3mf")
    put(printer, "cache/y.3mf", NEW)
    lose_after_put_aside(printer, later(lambda: card.rename("/cache/y.3mf", "/cache/x.3mf"), stack), "RNTO")
    wait_until(lambda: names(printer) == ["x.3mf", "y.3mf"], "the old file to come back")
    assert (on_card(printer), on_card(printer, "cache/y.3mf")) == (OLD, NEW)


def test_loss_after_a_rename_leaves_no_litter(start: Start, stack: ExitStack) -> None:
    card, printer = start("p1s")
    put(printer, "cache/x.3mf")
    put(printer, "cache/y.3mf", NEW)
    with printer.hold("DELE", before="command") as gate:
        renaming = later(lambda: card.rename("/cache/y.3mf", "/cache/x.3mf"), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    renaming.result(10)
    wait_until(lambda: names(printer) == ["x.3mf"], "the old file to be removed")
    assert on_card(printer) == NEW


@BOTH
def test_file_is_renamed(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    card.rename("/cache/x.3mf", "/y.3mf")
    assert on_card(printer, "y.3mf") == OLD


@BOTH
def test_renamed_file_replaces_another(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf", NEW)
    put(printer, "cache/y.3mf", OLD)
    card.rename("/cache/x.3mf", "/cache/y.3mf")
    wait_until(lambda: tidy(printer), "the old file to be removed")
    assert (names(printer), on_card(printer, "cache/y.3mf")) == (["y.3mf"], NEW)


@BOTH
def test_case_of_a_name_is_changed(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    card.rename("/cache/x.3mf", "/cache/X.3mf")
    assert (names(printer), on_card(printer, "cache/X.3mf")) == (["X.3mf"], OLD)


@BOTH
def test_letters_that_only_fold_alike_are_two_names(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/straße.3mf", NEW)
    put(printer, "cache/strasse.3mf", OLD)
    card.rename("/cache/straße.3mf", "/cache/strasse.3mf")
    wait_until(lambda: tidy(printer), "the old file to be removed")
    assert (names(printer), on_card(printer, "cache/strasse.3mf")) == (["strasse.3mf"], NEW)


@BOTH
def test_folder_is_renamed(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    card.rename("/cache", "/other")
    assert on_card(printer, "other/x.3mf") == OLD


@BOTH
def test_rename_of_a_missing_file_is_told(start: Start, model: str) -> None:
    card, _ = start(model)
    with pytest.raises(FileNotFoundError) as missing:
        card.rename("/cache/nope", "/cache/y")
    assert missing.value.filename == "/cache/nope"


@BOTH
def test_change_of_case_of_a_missing_file_is_told(start: Start, model: str) -> None:
    with pytest.raises(FileNotFoundError):
        start(model)[0].rename("/cache/nope", "/cache/NOPE")


@BOTH
def test_change_of_case_where_nothing_is_renamed_is_told_apart(start: Start, model: str) -> None:
    card, printer = start(model, refused="RNFR:550")
    put(printer, "cache/x.3mf")
    with pytest.raises(OSError, match="cannot rename") as caught:
        card.rename("/cache/x.3mf", "/cache/X.3mf")
    assert caught.value.errno == errno.EXDEV


@BOTH
def test_rename_of_a_missing_file_keeps_what_is_at_the_new_name(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/y")
    with pytest.raises(FileNotFoundError):
        card.rename("/cache/nope", "/cache/y")
    assert (names(printer), on_card(printer, "cache/y")) == (["y"], OLD)


@BOTH
def test_rename_to_a_name_that_the_card_cannot_store_is_told(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    with pytest.raises(InvalidName):
        card.rename("/cache/x.3mf", "/cache/a:b")
    assert names(printer) == ["x.3mf"]


@BOTH
@pytest.mark.parametrize("when", ["command", "reply"])
def test_rename_settles_after_a_lost_connection(start: Start, model: str, when: str, stack: ExitStack) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    with printer.hold("RNTO", before=when) as gate:  # type: ignore[arg-type]
        renaming = later(lambda: card.rename("/cache/x.3mf", "/cache/y.3mf"), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    renaming.result(10)
    assert names(printer) == ["y.3mf"]


# --- deleting and folders ---------------------------------------------------------------------------


@BOTH
def test_file_is_deleted(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    card.delete("/cache/x.3mf")
    assert names(printer) == []


@BOTH
@pytest.mark.parametrize("when", ["command", "reply"])
def test_deleting_settles_after_a_lost_connection(start: Start, model: str, when: str, stack: ExitStack) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    with printer.hold("DELE", before=when) as gate:  # type: ignore[arg-type]
        deleting = later(lambda: card.delete("/cache/x.3mf"), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    deleting.result(10)
    assert names(printer) == []


@BOTH
def test_missing_file_is_told_when_deleted(start: Start, model: str) -> None:
    with pytest.raises(FileNotFoundError):
        start(model)[0].delete("/cache/nope")


@BOTH
def test_folder_is_told_when_deleted_as_a_file(start: Start, model: str) -> None:
    with pytest.raises(IsADirectoryError):
        start(model)[0].delete("/cache")


def test_file_that_the_printer_does_not_let_go_is_told(start: Start) -> None:
    card, printer = start(refused="DELE:550")
    put(printer, "cache/x.3mf")
    with pytest.raises(CardRefused, match="is it using the file"):
        card.delete("/cache/x.3mf")


@BOTH
def test_folder_is_made(start: Start, model: str) -> None:
    card, printer = start(model)
    card.make_folder("/cache/new")
    assert (printer.card / "cache/new").is_dir()


@BOTH
@pytest.mark.parametrize("when", ["command", "reply"])
def test_making_a_folder_settles_after_a_lost_connection(
    start: Start, model: str, when: str, stack: ExitStack
) -> None:
    card, printer = start(model)
    with printer.hold("MKD", before=when) as gate:  # type: ignore[arg-type]
        making = later(lambda: card.make_folder("/new"), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    making.result(10)
    assert (printer.card / "new").is_dir()


@BOTH
def test_folder_that_is_there_is_told(start: Start, model: str) -> None:
    with pytest.raises(FileExistsError):
        start(model)[0].make_folder("/cache")


@BOTH
def test_folder_in_a_missing_one_is_told(start: Start, model: str) -> None:
    with pytest.raises(FileNotFoundError):
        start(model)[0].make_folder("/nope/new")


@BOTH
def test_folder_by_a_bad_name_is_told(start: Start, model: str) -> None:
    with pytest.raises(InvalidName):
        start(model)[0].make_folder("/a:b")


@BOTH
def test_empty_folder_is_removed(start: Start, model: str) -> None:
    card, printer = start(model)
    card.remove_folder("/cache")
    assert not (printer.card / "cache").exists()


@BOTH
@pytest.mark.parametrize("when", ["command", "reply"])
def test_removing_a_folder_settles_after_a_lost_connection(
    start: Start, model: str, when: str, stack: ExitStack
) -> None:
    card, printer = start(model)
    with printer.hold("RMD", before=when) as gate:  # type: ignore[arg-type]
        removing = later(lambda: card.remove_folder("/cache"), stack)
        assert gate.reached.wait(5)
        printer.drop_sessions()
    removing.result(10)
    assert not (printer.card / "cache").exists()


@BOTH
@pytest.mark.parametrize("name", ["x.3mf", ".somebodys"])
def test_full_folder_is_told(start: Start, model: str, name: str) -> None:
    card, printer = start(model)
    put(printer, f"cache/{name}")
    with pytest.raises(OSError, match="not empty") as refused:
        card.remove_folder("/cache")
    assert refused.value.errno == errno.ENOTEMPTY
    assert names(printer) == [name]


@BOTH
@pytest.mark.parametrize("name", [".DS_Store", "._x.3mf", ".bambufs-0123abcd.part"])
def test_litter_goes_with_its_folder(start: Start, model: str, name: str) -> None:
    card, printer = start(model)
    put(printer, f"cache/{name}")
    card.remove_folder("/cache")
    assert not (printer.card / "cache").exists()


@BOTH
def test_missing_folder_is_told_when_removed(start: Start, model: str) -> None:
    with pytest.raises(FileNotFoundError):
        start(model)[0].remove_folder("/nope")


def test_empty_folder_that_the_printer_does_not_let_go_is_told(start: Start) -> None:
    with pytest.raises(CardRefused):
        start(refused="RMD:550")[0].remove_folder("/cache")


# --- behind the scenes ------------------------------------------------------------------------------


def test_file_is_removed_later(start: Start) -> None:
    card, printer = start()
    put(printer, "cache/.bambufs-1.part")
    card.remove_later("/cache/.bambufs-1.part")
    wait_until(lambda: tidy(printer), "it to be removed")


@BOTH
@pytest.mark.parametrize("how", ["stored", "renamed"])
def test_what_is_put_meanwhile_is_not_removed_later(start: Start, model: str, how: str) -> None:
    card, printer = start(model)
    card.connect()
    put(printer, "cache/x.3mf")
    put(printer, "cache/y.3mf", NEW)
    with chores_put_off(card) as put_off:
        card.remove_later("/cache/x.3mf")
        store(card, NEW) if how == "stored" else card.rename("/cache/y.3mf", "/cache/x.3mf")
    for do in put_off:
        do()
    assert on_card(printer) == NEW


@BOTH
def test_file_by_any_name_is_removed_later(start: Start, model: str) -> None:
    card, printer = start(model)
    put(printer, "cache/x.3mf")
    card.remove_later("/cache/x.3mf")
    wait_until(lambda: names(printer) == [], "the file to be removed")


def test_nothing_is_removed_while_a_file_is_sent(start: Start, stack: ExitStack) -> None:
    card, printer = start()
    put(printer, "cache/x.3mf")
    with printer.hold("STOR", after_bytes=1) as gate:
        storing = later(lambda: store(card, BIG), stack)
        assert gate.reached.wait(5)
        card._storing._unwanted.add("/CACHE/X.3MF")
        with pytest.raises(PrinterBusy):
            card._storing._remove_unwanted("/cache/x.3mf")
    storing.result(10)
    card._storing._remove_unwanted("/cache/x.3mf")
    assert on_card(printer) == BIG


def test_closing_says_good_bye(start: Start) -> None:
    card, printer = start()
    card.connect()
    card.close()
    printer.wait_for("QUIT", timeout=5)


def test_printer_at_rest_is_left_alone_after_a_while(tmp_path: Path, stack: ExitStack) -> None:
    printer = stack.enter_context(Printer(card=tmp_path, mqtt=False))
    target = Target(printer.host, printer.ftps_port, printer.access_code, make_context())
    card = Card(SessionPool(lambda: FtpsSession.open(target, CALM), idle_timeout=0.0))
    stack.callback(card.close)
    card._access.janitor._interval = 0.05
    card.connect()
    printer.wait_for("QUIT", timeout=5)


def test_access_code_is_in_no_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    card, printer = start()
    with caplog.at_level(logging.DEBUG):
        store(card, NEW)
        printer.drop_sessions()
        card.list("/")
    assert printer.access_code not in caplog.text
