"""Debian's mosquitto as a printer's broker: TLS, one user, the access code as its password."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.certificates import PrinterCertificate, printer_certificate
from tests.support.needs import find_program
from tests.support.ports import is_listening, port_block
from tests.support.sandbox import Sandbox
from tests.support.vsftpd import ACCESS_CODE, SERIAL, USER
from tests.support.waiting import wait_until

_SETTINGS = """\
allow_anonymous false
persistence false
log_type all
log_dest stderr
set_tcp_nodelay true
"""


class Mosquitto:
    """A running mosquitto; `mosquitto_printer` makes one."""

    host = "127.0.0.1"

    def __init__(
        self, sandbox: Sandbox, *, port: int, access_code: str, serial: str, certificate: PrinterCertificate
    ) -> None:
        self._sandbox = sandbox
        self.port = port
        self.access_code = access_code
        self.serial = serial
        self.certificate = certificate

    def __repr__(self) -> str:
        return f"<mosquitto on {self.host}:{self.port}>"

    @property
    def log(self) -> str:
        """What the broker has said so far: connections, subscriptions, refusals."""
        return self._sandbox.log.read_text(errors="replace")

    def start(self) -> None:
        """Start the broker and wait until it listens."""
        self._sandbox.start()
        try:
            wait_until(lambda: is_listening(self.host, self.port), "mosquitto to listen")
        except TimeoutError as error:
            raise RuntimeError(f"mosquitto did not start: {self.log}") from error

    def stop(self) -> None:
        """Freeze the broker: connections stay open and nothing answers."""
        self._sandbox.signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Let a frozen broker go on."""
        self._sandbox.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the broker at once, as a power cut does."""
        self._sandbox.kill()

    def restart(self) -> None:
        """Kill the broker if it still runs, and start it again on the same port."""
        self.kill()
        self.start()


@contextlib.contextmanager
def mosquitto_printer(
    *, access_code: str = ACCESS_CODE, serial: str = SERIAL, generation: int = 1, settings: str = ""
) -> Iterator[Mosquitto]:
    """Run mosquitto for the ``with`` block; ``settings`` are more lines for its configuration.

    Another ``generation`` shows another certificate.
    """
    certificate = printer_certificate(serial, generation)
    with tempfile.TemporaryDirectory(prefix="bambufs-mosquitto-") as name, port_block() as ports:
        folder, port = Path(name), ports[0]
        _write_files(folder, certificate, port, access_code, settings)
        daemon = [find_program("mosquitto") or "mosquitto", "-c", f"{folder}/mosquitto.conf"]
        with Sandbox(daemon, setup=[], log=folder / "daemon.log", environment={}) as sandbox:
            broker = Mosquitto(
                sandbox, port=port, access_code=access_code, serial=serial, certificate=certificate
            )
            broker.start()
            yield broker


def _write_files(
    folder: Path, certificate: PrinterCertificate, port: int, access_code: str, settings: str
) -> None:
    chain, key, _ = certificate.write(folder)
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    passwords.write_text(f"{USER}:{access_code}\n")
    # Turns the plain text into hashes, in place; the code never is an argument.
    subprocess.run([find_program("mosquitto_passwd") or "mosquitto_passwd", "-U", passwords], check=True)
    (folder / "mosquitto.conf").write_text(
        f"user root\npassword_file {passwords}\n{_SETTINGS}listener {port} {Mosquitto.host}\n"
        f"certfile {chain}\nkeyfile {key}\ntls_version tlsv1.2\n{settings}\n"
    )
