"""Simulated devices that keep their reports (vedette-sim --keep), for the tests that start them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploy.local.processes import Process, run
from support import WAIT_S, Installation


class Keepers:
    """A simulator with --keep: devices <prefix>00001, …, as many as asked for."""

    def __init__(self, installation: Installation, devices: int, *words: str, prefix: str = "keep-") -> None:
        stack = installation.stack
        self.credentials = [f"{prefix}{number:05}" for number in range(1, devices + 1)]
        for credential in self.credentials:
            installation.certificate(credential)
        self._status: Path = stack.sim_status
        self._stack = stack
        self._fleet = [stack.programs.path("vedette-sim"), "--devices", str(devices), "--prefix", prefix, "--model", "test-model"]
        argv = [*self._fleet, "--broker", f"127.0.0.1:{stack.ports.devices}", "--ca", stack.authority.ca,
                "--certs", stack.authority.devices, "--status", self._status, "--backoff", "0.1:0.5", "--keep", *words]
        self.process = Process("vedette-sim", argv, stack.logs / "vedette-sim.log", stack.account)
        stack.processes["vedette-sim"] = self.process

    def register(self) -> None:
        """Puts them and the children of their gateways into the registry."""
        self._stack.register(run([*self._fleet, "--list-credentials"], self._stack.account))

    def start(self) -> None:
        """Starts them, and returns before they are connected."""
        self.process.start()
        self.process.wait_ready(self._status.exists, WAIT_S, "started")

    def status(self) -> dict[str, Any]:
        """What the simulator counts, as of the last second."""
        return dict(json.loads(self._status.read_text(encoding="utf-8")))

    def kept(self) -> dict[str, Any]:
        """The same of what is kept."""
        return dict(self.status()["kept"])
