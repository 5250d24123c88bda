"""Debian's vsftpd, set up as the printers of the X1 family run it.

Implicit TLS 1.2, session reuse required, dot files hidden, user ``bblp``. Nothing on the host
changes: the user exists only inside a private mount namespace, where copies of the account
files lie over the real ones. There the user has number 0, since on a printer's FAT card
everything belongs to everybody.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.certificates import PrinterCertificate, printer_certificate
from tests.support.ports import is_listening, port_block
from tests.support.sandbox import Sandbox
from tests.support.waiting import wait_until

USER = "bblp"
SERIAL = "00M00A2B0812345"
ACCESS_CODE = "47281593"

_SETTINGS = """\
listen=YES
listen_address=127.0.0.1
background=NO
ssl_enable=YES
implicit_ssl=YES
force_local_data_ssl=YES
force_local_logins_ssl=YES
require_ssl_reuse=YES
ssl_ciphers=HIGH
ssl_tlsv1=YES
ssl_sslv2=NO
ssl_sslv3=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_umask=022
chroot_local_user=YES
allow_writeable_chroot=YES
pasv_promiscuous=NO
port_enable=NO
xferlog_enable=YES
log_ftp_protocol=YES
# A session that is frozen and then reset may wait for ever with the log's lock in its hand, and all others for it.
no_log_lock=YES
pam_service_name=vsftpd
nopriv_user=nobody
delay_failed_login=0
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
"""

_OPENSSL = """\
openssl_conf = all
[all]
ssl_conf = protocols
[protocols]
system_default = limits
[limits]
MaxProtocol = TLSv1.2
"""

_PAM = """\
auth required pam_unix.so nodelay
account required pam_unix.so
session required pam_permit.so
"""

_LOGGED = re.compile(r'\[pid (?P<session>\d+)\].*? FTP command: Client "[^"]*", "(?P<line>.*)"$')


class Command(NamedTuple):
    """One FTP command as the server's log shows it; ``session`` tells connections apart."""

    session: int
    verb: str
    argument: str


class Vsftpd:
    """A running vsftpd; `vsftpd_printer` makes one.

    ``root`` is the card on the server's own disk. ``port`` is the control port and
    ``passive_ports`` are the data ports, both on ``host`` only.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        ports: range,
        root: Path,
        log: Path,
        access_code: str,
        serial: str,
        certificate: PrinterCertificate,
    ) -> None:
        self._sandbox = sandbox
        self._log = log
        self.port = ports[0]
        self.passive_ports = ports[1:]
        self.root = root
        self.access_code = access_code
        self.serial = serial
        self.certificate = certificate

    def __repr__(self) -> str:
        return f"<vsftpd on {self.host}:{self.port}, {len(self._sandbox.processes())} processes>"

    def start(self) -> None:
        """Start the server and wait until it listens."""
        self._sandbox.start()
        try:
            wait_until(lambda: is_listening(self.host, self.port), "vsftpd to listen")
        except TimeoutError as error:
            raise RuntimeError(f"vsftpd did not start: {self._sandbox.log.read_text()}") from error

    def stop(self) -> None:
        """Freeze the server and all its sessions: connections stay open and nothing answers."""
        self._sandbox.signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Let a frozen server go on."""
        self._sandbox.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server and all its sessions at once, as a power cut does; the card stays."""
        self._sandbox.kill()

    def restart(self) -> None:
        """Kill the server if it still runs, and start it again on the same ports and card."""
        self.kill()
        self.start()

    def commands(self, *verbs: str) -> list[Command]:
        """Return what clients have sent so far, in order; only ``verbs`` if any are given."""
        found = map(_LOGGED.search, self._log.read_text(errors="replace").splitlines())
        every = [_command(match) for match in found if match]
        return [command for command in every if not verbs or command.verb in verbs]

    def sessions(self) -> int:
        """Return how many processes serve clients (a logged-in session has two)."""
        return max(0, len(self._sandbox.processes()) - 1)


@contextlib.contextmanager
def vsftpd_printer(
    *,
    access_code: str = ACCESS_CODE,
    serial: str = SERIAL,
    small_disk: int = 0,
    idle_timeout: int = 300,
    max_clients: int = 0,
    generation: int = 1,
    settings: str = "",
) -> Iterator[Vsftpd]:
    """Run vsftpd for the ``with`` block, with an empty card.

    ``small_disk`` makes the card a disk of that many bytes. ``idle_timeout`` is in seconds.
    ``max_clients`` 0 means no limit; over the limit vsftpd answers 421 in plain text.
    Another ``generation`` shows another certificate. ``settings`` are more lines for its
    configuration, which override those above.
    """
    limits = f"idle_session_timeout={idle_timeout}\nmax_clients={max_clients}\n{settings}\n"
    certificate = printer_certificate(serial, generation)
    with tempfile.TemporaryDirectory(prefix="bambufs-vsftpd-") as name, port_block() as ports:
        folder, card = Path(name), Path(name) / "card"
        _write_files(folder, certificate, access_code, _configuration(folder, ports) + limits)
        with _sandbox(folder, small_disk) as sandbox:
            server = Vsftpd(
                sandbox,
                ports=ports,
                root=sandbox.outside(card) if small_disk else card,
                log=folder / "ftp.log",
                access_code=access_code,
                serial=serial,
                certificate=certificate,
            )
            server.start()
            yield server


def _configuration(folder: Path, ports: range) -> str:
    return _SETTINGS + (
        f"listen_port={ports[0]}\n"
        f"pasv_min_port={ports[1]}\n"
        f"pasv_max_port={ports[-1]}\n"
        f"local_root={folder}/card\n"
        f"secure_chroot_dir={folder}/empty\n"
        f"vsftpd_log_file={folder}/ftp.log\n"
        f"rsa_cert_file={folder}/printer.pem\n"
        f"rsa_private_key_file={folder}/printer.key\n"
    )


def _write_files(folder: Path, certificate: PrinterCertificate, access_code: str, configuration: str) -> None:
    for name in ("card", "empty"):
        (folder / name).mkdir(mode=0o755)
    (folder / "ftp.log").touch()
    (folder / "openssl.cnf").write_text(_OPENSSL)
    (folder / "pam").write_text(_PAM)
    (folder / "vsftpd.conf").write_text(configuration)
    certificate.write(folder)
    _add_user(folder, access_code)


def _add_user(folder: Path, access_code: str) -> None:
    """Write copies of the account files with the printer's user in them."""
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=access_code, capture_output=True, text=True, check=True
    ).stdout.strip()
    lines = {
        "passwd": f"{USER}:x:0:0::{folder}/card:/bin/sh\n",
        "shadow": f"{USER}:{hashed}:19000:0:99999:7:::\n",
        "group": "",
    }
    for name, line in lines.items():
        copy = folder / name
        copy.touch(mode=0o600 if name == "shadow" else 0o644)
        copy.write_text(Path("/etc", name).read_text() + line)


def _sandbox(folder: Path, small_disk: int) -> Sandbox:
    over = {"passwd": "passwd", "shadow": "shadow", "group": "group", "pam": "pam.d/vsftpd"}
    setup = [f"mount --bind {folder}/{mine} /etc/{theirs}" for mine, theirs in over.items()]
    if small_disk:
        setup.append(f"mount -t tmpfs -o size={small_disk},mode=755 card {folder}/card")
    return Sandbox(
        ["vsftpd", f"{folder}/vsftpd.conf"],
        setup=setup,
        log=folder / "daemon.log",
        environment={"OPENSSL_CONF": f"{folder}/openssl.cnf"},
    )


def _command(match: re.Match[str]) -> Command:
    verb, _, argument = match["line"].partition(" ")
    return Command(int(match["session"]), verb.upper(), argument)
