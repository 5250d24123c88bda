"""The commands that move data: PASV, EPSV, LIST, NLST, RETR, STOR, APPE."""

from __future__ import annotations

import errno
import fnmatch
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

from bambufs.simulator.card_store import BadName, Item
from bambufs.simulator.commands import Handler
from bambufs.simulator.data import Channel, End, NoDataConnection, NotResumed, file_blocks
from bambufs.simulator.listing import list_line
from bambufs.simulator.session import Session, SessionOver

# -- the data connection


def _pasv(session: Session, argument: str) -> None:
    number = _open_port(session)
    address = session.quirks.text("pasv_address") or _ipv4(session.local_address)
    numbers = f"({address.replace('.', ',')},{number >> 8},{number & 255})"
    text = numbers if session.quirks.flag("terse") else f"Entering Passive Mode {numbers}."
    session.reply(227, text, fact=True)
    _wait_for_data(session)


def _epsv(session: Session, argument: str) -> None:
    if argument.upper() == "ALL":
        session.reply(200, "EPSV ALL ok.")
        return
    if argument not in ("", "1", "2") or (argument == "2" and ":" not in session.local_address):
        session.reply(522, "Bad network protocol.")
        return
    session.reply(229, f"Entering Extended Passive Mode (|||{_open_port(session)}|)", fact=True)
    _wait_for_data(session)


def _ipv4(host: str) -> str:
    return host if host.count(".") == 3 else "0.0.0.0"


def _open_port(session: Session) -> int:
    session.drop_port()
    session.port = session.ports.data_port()
    return session.port.open(refuse=bool(session.quirks.take("refuse_data")))


def _wait_for_data(session: Session) -> None:
    if session.port is not None and session.quirks.flag("wait_for_data"):
        session.port.await_connection(session.quirks.number("accept_timeout"), session.ended)


def _may_transfer(session: Session) -> bool:
    """Whether a data command can go on; if not, the client has been told."""
    if session.port is None or session.transfers_refused:
        session.reply(425, "Use PORT or PASV first.")
    elif session.protection != "P" and not _is_clear(session):
        code = 522 if session.quirks.family == "vsftpd" else 425
        session.reply(code, "Data connections must be encrypted.")
    else:
        return True
    session.drop_port()
    return False


def _is_clear(session: Session) -> bool:
    return session.protection == "C" and session.quirks.flag("clear_data")


def _open_channel(session: Session, opening: str) -> Channel | None:
    """Send 150 and secure the data connection. None when that failed and the client was told."""
    assert session.port is not None
    try:
        connection = session.port.accept(session.quirks.number("accept_timeout"), session.ended)
    except NoDataConnection:
        session.drop_port()
        session.reply(425, "Failed to establish connection.")
        return None
    session.channel = channel = Channel(session.machine, session.verb, connection, ended=session.ended)
    session.reply(150, opening)
    try:
        if not _is_clear(session):
            channel.secure(session.context, require_reuse=session.quirks.flag("require_reuse"))
            if session.quirks.take("lost_session"):
                raise NotResumed
    except NotResumed:
        channel.say_goodbye_one_way()
        _close_channel(session, channel)
        session.reply(522, "SSL connection failed: session reuse required", fact=True)
        raise SessionOver from None
    except OSError:
        _close_channel(session, channel)
        session.reply(426, "Failed to establish TLS on the data connection.")
        return None
    return channel


def _close_channel(session: Session, channel: Channel) -> None:
    session.channel = None
    channel.close()
    session.drop_port()


def _end_stalled(session: Session) -> None:
    if session.quirks.text("stall_end") == "421":
        session.reply(421, "Data timeout. Reconnect. Sorry.")
        raise SessionOver
    session.reply(426, "Failure reading network stream.")


# -- listings


def _list(session: Session, argument: str) -> None:
    now = session.machine.now()
    _send_listing(session, argument, lambda item, prefix: list_line(item, quirks=session.quirks, now=now))


def _nlst(session: Session, argument: str) -> None:
    bare = session.quirks.text("nlst") == "bare"
    _send_listing(session, argument, lambda item, prefix: f"{'' if bare else prefix}{item.name}\r\n")


def _send_listing(session: Session, argument: str, line: Callable[[Item, str], str]) -> None:
    if not _may_transfer(session):
        return
    try:
        items, prefix = _items_for(session, argument)
    except OSError:
        if not session.quirks.flag("missing_list_empty"):
            session.drop_port()
            session.reply(550, "Failed to open directory.")
            return
        items, prefix = [], ""
    text = os.fsencode("".join(line(item, prefix) for item in items))
    channel = _open_channel(session, "Here comes the directory listing.")
    if channel is not None:
        end = channel.send(session.machine.data(session.verb, text))
        _finish_sending(session, channel, end, done="Directory send OK.", code=226)


def _items_for(session: Session, argument: str) -> tuple[list[Item], str]:
    """The items that an argument asks for, and the prefix that NLST puts before their names."""
    options = ""
    if argument.startswith("-"):
        options, _, argument = argument.partition(" ")
        argument = argument if session.quirks.flag("list_options") else ""
    path = session.path_of(argument)
    if session.card.is_folder(path):
        items, prefix = session.card.items(path), argument and argument.rstrip("/") + "/"
    elif session.quirks.flag("list_options"):
        items, prefix = _matching(session, path, argument)
    else:
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", path)
    if "a" in options and session.card.is_folder(path):
        own = session.card.item(path)
        items = [replace(own, name="."), replace(own, name=".."), *items]
        items.sort(key=lambda item: os.fsencode(item.name))
    elif session.quirks.flag("hidden_dots") and "a" not in options:
        items = [item for item in items if not item.name.startswith(".")]
    return items, prefix


def _matching(session: Session, path: str, argument: str) -> tuple[list[Item], str]:
    folder, _, pattern = path.rpartition("/")
    items = [item for item in session.card.items(folder or "/") if fnmatch.fnmatchcase(item.name, pattern)]
    before, slash, _ = argument.rpartition("/")
    return items, before + slash


# -- files out


def _retr(session: Session, argument: str) -> None:
    start, session.restart_at = session.restart_at, 0
    if not _may_transfer(session):
        return
    try:
        descriptor = session.card.open_read(session.path_of(argument))
    except OSError:
        session.drop_port()
        session.reply(550, "Failed to open file.")
        return
    try:
        _send_file(session, descriptor, start, argument)
    finally:
        os.close(descriptor)


def _send_file(session: Session, descriptor: int, start: int, name: str) -> None:
    size = os.fstat(descriptor).st_size
    os.lseek(descriptor, start, os.SEEK_SET)
    channel = _open_channel(session, f"Opening BINARY mode data connection for {name} ({size} bytes).")
    if channel is None:
        return
    end = channel.send(_blocks(session, descriptor))
    block = int(session.quirks.number("block_451"))
    fails_at_end = bool(block) and size % block == 0
    _finish_sending(session, channel, end, done="Transfer complete.", code=451 if fails_at_end else 226)


def _blocks(session: Session, descriptor: int) -> Iterator[memoryview]:
    blocks = file_blocks(descriptor, session.machine.throttle.block)
    short = int(session.quirks.take("short_retr"))
    if session.machine.tampers_with("RETR"):
        return session.machine.data("RETR", b"".join(blocks))
    return _cut(blocks, short) if short else blocks


def _cut(blocks: Iterator[memoryview], most: int) -> Iterator[memoryview]:
    for block in blocks:
        yield block[:most]
        most -= len(block)
        if most <= 0:
            return


def _finish_sending(session: Session, channel: Channel, end: End, *, done: str, code: int) -> None:
    if end is End.CUT:
        _break_off(session, channel)
    if end is End.CLEAN:
        if session.quirks.flag("abort_resets"):
            channel.say_goodbye_one_way()
        else:
            channel.say_goodbye()
    _close_channel(session, channel)
    if end is End.CLEAN:
        session.reply(code, done)
    elif end is End.STALLED:
        _end_stalled(session)
    elif session.quirks.flag("abort_resets"):
        raise SessionOver
    else:
        session.reply(426, "Failure writing network stream.")


def _break_off(session: Session, channel: Channel) -> None:
    channel.reset()
    session.channel = None
    raise SessionOver


# -- files in


def _stor(session: Session, argument: str) -> None:
    _store(session, argument, append=session.quirks.flag("mixed_stores"), cut=True)


def _appe(session: Session, argument: str) -> None:
    _store(session, argument, append=True, cut=False)


def _store(session: Session, argument: str, *, append: bool, cut: bool) -> None:
    start, session.restart_at = session.restart_at, 0
    if not _may_transfer(session):
        return
    try:
        path = _path_to_store(session, argument)
        descriptor = session.card.open_store(path, offset=start, append=append)
    except OSError as error:
        session.drop_port()
        known = session.quirks.family == "vsftpd" or isinstance(error, BadName)
        session.reply(553 if known else 550, "Could not create file.")
        return
    try:
        if append and cut and not start:
            os.ftruncate(descriptor, 0)
        _receive_file(session, descriptor, path)
    finally:
        os.close(descriptor)


def _path_to_store(session: Session, argument: str) -> str:
    if not argument or argument.endswith("/"):
        raise IsADirectoryError(errno.EISDIR, "is a folder", argument)
    return session.path_of(argument)


def _receive_file(session: Session, descriptor: int, path: str) -> None:
    write = _writer(descriptor, session.card.room())
    if lost_after := int(session.quirks.take("short_stor")):
        write = _forgetful(write, lost_after)
    channel = _open_channel(session, "Ok to send data.")
    if channel is None:
        return
    end = channel.receive(write)
    session.card.stamp(path)
    if end is End.CUT:
        _break_off(session, channel)
    if end is End.CLEAN and session.quirks.flag("silent_store_close") and not _is_clear(session):
        end = channel.await_end_of_stream()
    elif end is End.CLEAN:
        channel.say_goodbye()
    _close_channel(session, channel)
    _answer_store(session, end)


def _answer_store(session: Session, end: End) -> None:
    if end is End.FULL:
        session.reply(int(session.quirks.text("full_code")), "Failure writing to local file.")
    elif end is End.STALLED:
        _end_stalled(session)
    elif _is_complete(session, end):
        late = cast(float, session.quirks.take("late_226"))
        if late:
            session.pause(late)
        session.reply(226, "Transfer complete.")
    else:
        session.reply(426, "Failure reading network stream.")


def _is_complete(session: Session, end: End) -> bool:
    if end is End.CLEAN or session.quirks.flag("any_end_is_226"):
        return True
    return end is End.RAGGED and not session.quirks.flag("strict_close")


def _writer(descriptor: int, room: int | None) -> Callable[[memoryview], None]:
    left = room

    def write(block: memoryview) -> None:
        nonlocal left
        fits = len(block) if left is None else min(left, len(block))
        written = 0
        while written < fits:
            written += os.write(descriptor, block[written:fits])
        if left is not None:
            left -= fits
        if fits < len(block):
            raise OSError(errno.ENOSPC, "the card is full")

    return write


def _forgetful(write: Callable[[memoryview], None], most: int) -> Callable[[memoryview], None]:
    left = most

    def write_some(block: memoryview) -> None:
        nonlocal left
        write(block[:left])
        left -= min(left, len(block))

    return write_some


VERBS: dict[str, Handler] = {
    "PASV": _pasv,
    "EPSV": _epsv,
    "LIST": _list,
    "NLST": _nlst,
    "RETR": _retr,
    "STOR": _stor,
    "APPE": _appe,
}
