"""What each command does that moves no data. Replies are vsftpd's; terse printers send the code alone."""

from __future__ import annotations

import calendar
import hmac
import os
import time
from collections.abc import Callable

from bambufs.simulator.card_store import BadName
from bambufs.simulator.listing import list_line, mdtm_text
from bambufs.simulator.session import Session, SessionOver

Handler = Callable[[Session, str], None]

_USER = "bblp"
_LONGEST_OFFSET = 18
_BEFORE_LOGIN = frozenset({"USER", "PASS", "QUIT", "FEAT", "AUTH", "OPTS", "PBSZ", "PROT"})
_FEATURES = ("AUTH TLS", "EPSV", "MDTM", "PASV", "PBSZ", "PROT", "REST STREAM", "SIZE", "TVFS")
_EXTRAS = frozenset({"EPSV", "STAT", "OPTS", "ABOR", "ALLO", "MODE", "STRU", "HELP", "SITE"})
_NOT_IMPLEMENTED = frozenset({"ACCT", "REIN", "SMNT"})
_MOST_FAILURES = 3
_OPTIONAL = {"REST": "rest", "APPE": "appe"}


def carry_out(session: Session, verb: str, argument: str, *, verbs: dict[str, Handler]) -> None:
    """Answer one command from the table ``verbs``."""
    code = _refusal(session, verb, known=verb in verbs)
    if code is not None:
        text = "Please login with USER and PASS." if code in (530, 332) else "Unknown command."
        session.reply(code, text)
    else:
        verbs[verb](session, argument)


def _refusal(session: Session, verb: str, *, known: bool) -> int | None:
    if not session.is_logged_in and verb not in _BEFORE_LOGIN:
        return int(session.quirks.text("early_code"))
    refused = _refused_codes(session.quirks.text("refused"))
    if verb in refused:
        return refused[verb]
    unknown = 500 if session.quirks.family == "vsftpd" else 502
    if verb in _NOT_IMPLEMENTED and session.quirks.family == "vsftpd":
        return 502
    if not known or (verb in _EXTRAS and not session.quirks.flag("epsv")):
        return unknown
    if verb in _OPTIONAL and not session.quirks.flag(_OPTIONAL[verb]):
        return 502
    return None


def _refused_codes(setting: str) -> dict[str, int]:
    pairs = (part.strip().partition(":") for part in setting.split(",") if part.strip())
    return {verb.upper(): int(code or 502) for verb, _, code in pairs}


# -- login


def _user(session: Session, argument: str) -> None:
    if session.is_logged_in and session.quirks.family == "vsftpd":
        if argument == _USER:
            session.reply(331, "Any password will do.")
        else:
            session.reply(530, "Can't change to another user.")
        return
    session.user = argument
    session.is_logged_in = False
    session.reply(331, "Please specify the password.")


def _pass(session: Session, argument: str) -> None:
    if not session.user and session.quirks.family == "vsftpd":
        session.reply(503, "Login with USER first.")
        return
    if session.is_logged_in and session.quirks.family == "vsftpd":
        session.reply(230, "Already logged in.")
        return
    right = hmac.compare_digest(os.fsencode(argument), os.fsencode(session.machine.access_code))
    session.is_logged_in = right and session.user == _USER
    if session.is_logged_in:
        session.reply(230, "Login successful.")
        return
    session.reply(530, "Login incorrect.")
    session.failures += 1
    if session.failures >= _MOST_FAILURES and session.quirks.family == "vsftpd":
        raise SessionOver


def _quit(session: Session, argument: str) -> None:
    session.reply(221, "Goodbye.")
    raise SessionOver


def _pbsz(session: Session, argument: str) -> None:
    session.reply(200, "PBSZ set to 0.")


def _prot(session: Session, argument: str) -> None:
    level = argument.upper()
    if level not in ("P", "C"):
        session.reply(536 if level in ("S", "E") else 504, "PROT not supported.")
        return
    session.protection = level
    session.reply(200, "PROT now Private." if level == "P" else "PROT now Clear.")


def _auth(session: Session, argument: str) -> None:
    session.reply(504, "not-supported", fact=True)


# -- facts about the server


def _feat(session: Session, argument: str) -> None:
    if not session.quirks.flag("feat"):
        session.reply(502, "no-features", fact=True)
        return
    features = [name for name in _FEATURES if not name.startswith("REST") or session.quirks.flag("rest")]
    session.reply_lines(211, "Features:", features, "End")


def _syst(session: Session, argument: str) -> None:
    session.reply(215, "UNIX Type: L8", fact=True)


def _stat(session: Session, argument: str) -> None:
    if not argument:
        lines = [f"Logged in as {_USER}", "TYPE: BINARY"]
        session.reply_lines(211, "FTP server status:", lines, "End of status")
        return
    now = session.machine.now()
    try:
        items = session.card.items(session.path_of(argument))
    except OSError:
        items = []
    lines = [list_line(item, quirks=session.quirks, now=now).rstrip("\r\n") for item in items]
    session.reply_lines(213, "Status follows:", lines, "End of status")


def _says(code: int, text: str) -> Handler:
    def answer(session: Session, argument: str) -> None:
        session.reply(code, text)

    return answer


def _type(session: Session, argument: str) -> None:
    kind = argument.upper()[:1]
    if kind not in ("A", "I", "L") and session.quirks.family == "vsftpd":
        session.reply(500, "Unrecognised TYPE command.")
    else:
        session.reply(200, "Switching to ASCII mode." if kind == "A" else "Switching to Binary mode.")


def _only(letter: str, what: str, done: str) -> Handler:
    """A setting of which vsftpd knows one value."""

    def answer(session: Session, argument: str) -> None:
        if argument.upper() == letter:
            session.reply(200, done)
        else:
            session.reply(504, f"Bad {what} command.")

    return answer


def _opts(session: Session, argument: str) -> None:
    if argument.upper() == "UTF8 ON":
        session.reply(200, "Always in UTF8 mode.")
    else:
        session.reply(501, "Option not understood.")


def _site(session: Session, argument: str) -> None:
    if argument.upper() == "HELP":
        session.reply(214, "CHMOD UMASK HELP")
    else:
        session.reply(500, "Unknown SITE command.")


# -- folders


def _cwd(session: Session, argument: str) -> None:
    if argument == ".." and session.quirks.flag("cwd_lost"):
        _cdup(session, argument)
        return
    try:
        path = session.path_of(argument)
        found = session.card.is_folder(path) and _is_named(session, argument)
    except OSError:
        path, found = session.cwd, False
    session.cwd_after = None
    if found:
        session.cwd = path
        session.reply(250, "Directory successfully changed.")
    else:
        if session.quirks.flag("failed_cwd_moves"):
            session.cwd = _parent(path)
        session.reply(550, "Failed to change directory.")


def _is_named(session: Session, argument: str) -> bool:
    """Whether a path was given at all; a blank one means nothing to vsftpd."""
    return bool(argument) or session.quirks.family != "vsftpd"


def _cdup(session: Session, argument: str) -> None:
    session.cwd = _parent(session.cwd)
    session.reply(250, "Directory successfully changed.")


def _parent(path: str) -> str:
    return path.rstrip("/").rpartition("/")[0] or "/"


def _pwd(session: Session, argument: str) -> None:
    if session.quirks.flag("pwd_quoted"):
        session.reply(257, f"{_quoted(session.cwd)} is the current directory", fact=True)
    else:
        session.reply(257, session.cwd, fact=True)


def _quoted(path: str) -> str:
    return '"' + path.replace('"', '""') + '"'


def _mkd(session: Session, argument: str) -> None:
    if _ignored(session, argument):
        return
    try:
        path = session.path_of(argument)
        session.card.make_folder(path)
    except BadName:
        session.reply(553 if session.quirks.family == "esp32" else 550, "Create directory operation failed.")
    except OSError:
        session.reply(550, "Create directory operation failed.")
    else:
        code = int(session.quirks.text("mkd_code"))
        session.reply(code, f"{_quoted(path)} created")


def _rmd(session: Session, argument: str) -> None:
    _change(session, argument, session.card.remove_folder, "Remove directory operation")


def _dele(session: Session, argument: str) -> None:
    _change(session, argument, session.card.delete, "Delete operation")


def _change(session: Session, argument: str, act: Callable[[str], None], what: str) -> None:
    if _ignored(session, argument):
        return
    try:
        act(session.path_of(argument))
    except OSError:
        session.reply(550, f"{what} failed.")
    else:
        session.reply(250, f"{what} successful.")


def _ignored(session: Session, argument: str) -> bool:
    ignored = argument.endswith("/") and session.quirks.flag("slash_does_nothing")
    if ignored:
        session.reply(250, "")
    return ignored


# -- files


def _rnfr(session: Session, argument: str) -> None:
    session.rename_from = None
    try:
        path = session.path_of(argument)
        session.card.existing(path if _is_named(session, argument) else "/\0")
    except OSError:
        session.reply(550, "RNFR command failed.")
    else:
        session.rename_from = path
        session.reply(350, "Ready for RNTO.")


def _rnto(session: Session, argument: str) -> None:
    source, session.rename_from = session.rename_from, None
    if source is None:
        session.reply(503, "RNFR required first.")
        return
    try:
        session.card.rename(source, session.path_of(argument))
    except BadName:
        session.reply(553, "Rename failed.")
    except OSError:
        session.reply(550, "Rename failed.")
    else:
        session.reply(250, "Rename successful.")


def _size(session: Session, argument: str) -> None:
    try:
        item = session.card.item(session.path_of(argument))
    except OSError:
        session.reply(550, "Could not get file size.")
        return
    if item.is_folder and not session.quirks.flag("size_of_folder"):
        session.reply(550, "Could not get file size.")
    else:
        session.reply(213, str(item.size), fact=True)


def _mdtm(session: Session, argument: str) -> None:
    seconds, path = _time_and_path(argument)
    if seconds is not None and session.quirks.flag("mdtm_set"):
        _set_time(session, seconds, path)
        return
    try:
        item = session.card.item(session.path_of(argument))
        if item.is_folder and session.quirks.family == "vsftpd":
            raise IsADirectoryError(argument)
    except OSError:
        session.reply(550, "Could not get file modification time.")
    else:
        session.reply(213, mdtm_text(item.mtime, quirks=session.quirks), fact=True)


def _set_time(session: Session, seconds: float, path: str) -> None:
    try:
        session.card.set_time(session.path_of(path), seconds)
    except OSError:
        session.reply(550, "Could not set file modification time.")
    else:
        session.reply(213, "File modification time set.", fact=True)


def _time_and_path(argument: str) -> tuple[float | None, str]:
    digits, _, path = argument.partition(" ")
    if len(digits) != 14 or not digits.isdigit() or not path:
        return None, argument
    try:
        return float(calendar.timegm(time.strptime(digits, "%Y%m%d%H%M%S"))), path
    except ValueError:
        return None, argument


def _rest(session: Session, argument: str) -> None:
    session.restart_at = int(argument) if argument.isdecimal() and len(argument) <= _LONGEST_OFFSET else 0
    session.reply(350, f"Restart position accepted ({session.restart_at}).")


VERBS: dict[str, Handler] = {
    "USER": _user,
    "PASS": _pass,
    "QUIT": _quit,
    "PBSZ": _pbsz,
    "PROT": _prot,
    "AUTH": _auth,
    "FEAT": _feat,
    "SYST": _syst,
    "STAT": _stat,
    "TYPE": _type,
    "OPTS": _opts,
    "NOOP": _says(200, "NOOP ok."),
    "ABOR": _says(225, "No transfer to ABOR."),
    "ALLO": _says(202, "ALLO command ignored."),
    "MODE": _only("S", "MODE", "Mode set to S."),
    "STRU": _only("F", "STRU", "Structure set to F."),
    "HELP": _says(214, "Help OK."),
    "SITE": _site,
    "CWD": _cwd,
    "XCWD": _cwd,
    "CDUP": _cdup,
    "XCUP": _cdup,
    "PWD": _pwd,
    "XPWD": _pwd,
    "MKD": _mkd,
    "XMKD": _mkd,
    "RMD": _rmd,
    "XRMD": _rmd,
    "DELE": _dele,
    "RNFR": _rnfr,
    "RNTO": _rnto,
    "SIZE": _size,
    "MDTM": _mdtm,
    "REST": _rest,
}
