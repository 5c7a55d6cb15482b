"""Where the built programs are, in a place from which the stack's account can run them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .account import Account
from .errors import StackError

BUILT = {
    "vedette-ingest": "ingest/vedette-ingest",
    "vedette-analysis": "analysis/vedette-analysis",
    "vedette-keeper": "keeper/vedette-keeper",
    "vedette": "cli/vedette",
    "vedette-sim": "simulator/vedette-sim",
    "vedette-eval": "analysis/vedette-eval",
    "vedette-agent": "docs/examples/agent/vedette-agent",
}


class Programs:
    """The programs of one build folder. What the account cannot reach there is copied to `copies`."""

    def __init__(self, build: Path, copies: Path, account: Account) -> None:
        self.build = build
        self._copies = copies
        self._account = account

    def path(self, name: str) -> Path:
        """A program that the account can run."""
        built = self.build / BUILT[name]
        if not built.exists():
            raise StackError(f"{built} is not built; ./run builds it, or: "
                             "cmake --preset release && cmake --build --preset release")
        if self._account.can_read(built):
            return built
        return self._copy(built, self._copies / name)

    def _copy(self, built: Path, target: Path) -> Path:
        if target.exists() and target.stat().st_mtime_ns == built.stat().st_mtime_ns:
            return target
        self._copies.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copy2(built, fresh)
        fresh.chmod(0o755)
        fresh.rename(target)  # a program that runs keeps its old file
        return target
