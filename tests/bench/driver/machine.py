"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

PACKAGES = ("mosquitto", "libpaho-mqtt1.3", "libssl3", "postgresql-15", "libpq5")


def describe(root: Path, folder: Path) -> dict[str, str]:
    """Processor, memory, disk, kernel, versions, commit."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "disk": _said(["findmnt", "-no", "FSTYPE,SOURCE", "-T", str(folder)]),
        "system": f"{_pretty_name()}, Linux {platform.release()}, {_said(['systemd-detect-virt', '--vm'], failed_too=True) or 'unknown'} virtualisation",
        "versions": ", ".join(_packages()),
        "network": f"loopback, congestion control {_text('/proc/sys/net/ipv4/tcp_congestion_control')}",
        "node": _said(["/usr/bin/node", "--version"]),
        "commit": _said(["git", "-C", str(root), "describe", "--always", "--dirty"]) or "no git checkout",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _said(argv: list[str], *, failed_too: bool = False) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 or failed_too else ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def _processor() -> str:
    match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return match[1] if match else platform.machine()


def _pretty_name() -> str:
    match = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    return match[1] if match else platform.system()


def _packages() -> list[str]:
    return _said(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES]).splitlines()
