"""A private Mosquitto with the configuration that Vedette ships (deploy/mosquitto)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from . import processes
from .account import Account
from .errors import StackError
from .ports import is_listening

PROGRAM = Path("/usr/sbin/mosquitto")
SHIPPED = Path(__file__).resolve().parents[1] / "mosquitto"
USUAL_LOG = ("error", "warning", "notice", "information", "subscribe")


class Broker:
    """One broker in `folder`, with certificates from `pki`; devices and ingest come in by their own ports on 127.0.0.1."""

    def __init__(self, folder: Path, pki: Path, account: Account, devices_port: int, ingest_port: int, *,
                 debug: bool = False) -> None:
        self.folder = folder
        self.account = account
        self.devices_port = devices_port
        self.ingest_port = ingest_port
        self.log = folder / "data" / "mosquitto.log"
        self._pki = pki
        # `all` shows denied publishes and every packet, and costs a third of the rate.
        self._log_types = ("all",) if debug else USUAL_LOG
        self.process = processes.Process("mosquitto", [PROGRAM, "-c", folder / "mosquitto.conf"], folder / "output.log", account)

    def configure(self) -> None:
        """Writes the configuration and the access lists."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.account.folder(self.folder / "data")
        for name in ("devices.acl", "ingest.acl"):
            shutil.copyfile(SHIPPED / name, self.folder / name)
            self.account.own(self.folder / name)
            (self.folder / name).chmod(0o600)
        values = {
            "DATA": self.folder / "data", "PKI": self._pki, "ACL": self.folder, "ADDRESS": "127.0.0.1", "LOG": f"file {self.log}",
            "DEVICES_PORT": self.devices_port, "INGEST_PORT": self.ingest_port,
            "LOG_TYPES": "\n".join(f"log_type {kind}" for kind in self._log_types)}
        text = (SHIPPED / "mosquitto.conf.in").read_text(encoding="utf-8")
        (self.folder / "mosquitto.conf").write_text(_fill(text, values), encoding="utf-8")

    def start(self, deadline: float = 15) -> None:
        """Starts the broker and waits until both listeners answer."""
        self.configure()
        self.process.start()
        self.process.wait_ready(self.answers, deadline, "listening")

    def answers(self) -> bool:
        """Whether both listeners are open."""
        return all(is_listening(port) for port in (self.devices_port, self.ingest_port))

    def log_text(self) -> str:
        """The broker's log of all its runs."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def stop(self) -> None:
        """Saves its sessions and ends."""
        self.process.stop()


def _fill(template: str, values: dict[str, object]) -> str:
    """Puts the values in; a name that is not known is an error of the template."""
    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise StackError(f"mosquitto.conf.in asks for @{match[1]}@, which nothing fills in")
        return str(values[match[1]])

    return re.sub(r"@([A-Z_]+)@", value, template)
