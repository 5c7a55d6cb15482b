"""Who the programs of the stack run as: the caller, or, when the caller is root, an account without rights."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError

UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Account:
    """An account of this machine. `switch` says whether programs have to be moved to it first."""

    name: str
    uid: int
    gid: int
    switch: bool

    def can_enter(self, folder: Path) -> bool:
        """Whether the account may traverse every folder of the path."""
        return all(self._allowed(part, 1) for part in (folder, *folder.parents))

    def can_read(self, path: Path) -> bool:
        """Whether the account may read a file, or a folder with the files directly in it."""
        if not self.switch:
            return os.access(path, os.R_OK)
        if not self.can_enter(path.parent):
            return False
        if not path.is_dir():
            return self._allowed(path, 4)
        return self._allowed(path, 5) and all(self.can_read(child) for child in path.iterdir())

    def own(self, path: Path) -> None:
        """Gives one file or folder to the account."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def own_tree(self, folder: Path) -> None:
        """Gives a folder and everything in it to the account, unless it has it already."""
        if not self.switch or folder.lstat().st_uid == self.uid:
            return
        for base, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(os.path.join(base, name), self.uid, self.gid, follow_symlinks=False)
        self.own(folder)

    def folder(self, path: Path, mode: int = 0o700) -> Path:
        """Makes a folder that belongs to the account."""
        path.mkdir(parents=True, exist_ok=True)
        self.own_tree(path)
        path.chmod(mode)
        return path

    def readable(self, path: Path, copy_to: Path) -> Path:
        """Returns the path if the account can read it, otherwise a copy that it can."""
        if self.can_read(path):
            return path
        if not os.access(path, os.R_OK):
            raise StackError(f"cannot read {path}: check that it exists and that you may read it")
        target = copy_to / path.name
        if target.exists():
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        copy_to.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copyfile(path, target)
        for part in (target, *target.rglob("*")) if target.is_dir() else (target,):
            part.chmod(0o755 if part.is_dir() else 0o644)
        return target

    def _allowed(self, path: Path, wanted: int) -> bool:
        info = path.stat()
        if not self.switch:
            mode = {1: os.X_OK, 4: os.R_OK, 5: os.R_OK | os.X_OK}[wanted]
            return os.access(path, mode)
        bits = stat.S_IMODE(info.st_mode)
        if info.st_uid == self.uid:
            bits >>= 6
        elif info.st_gid == self.gid:
            bits >>= 3
        return bits & wanted == wanted


def service_account() -> Account:
    """The account for everything that the stack starts."""
    uid = os.getuid()
    try:
        if uid != 0:
            return Account(pwd.getpwuid(uid).pw_name, uid, os.getgid(), switch=False)
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise StackError(f"no account for user id {uid} in /etc/passwd; PostgreSQL needs one: add it with adduser") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def local_users(account: Account) -> list[str]:
    """Names of the accounts that may open the stack's database: the service account, the caller, and whoever called sudo."""
    names = [account.name, pwd.getpwuid(os.getuid()).pw_name]
    if "SUDO_USER" in os.environ:
        names.append(os.environ["SUDO_USER"])
    return list(dict.fromkeys(names))
