"""A private PostgreSQL cluster: Unix socket only, no passwords, everybody known by the operating system (peer)."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import psycopg2

from . import processes
from .account import Account, local_users
from .errors import StackError

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
DATABASE = "vedette"
PORT = 5432  # only part of the socket's name
ROLES = ("vedette_admin", "vedette_ingest", "vedette_analysis", "vedette_keeper", "vedette_console", "vedette_grafana")
LONGEST_SOCKET_PATH = 107  # sun_path of Linux, without the final zero


class Postgres:
    """One cluster in `folder`, its socket in `socket`."""

    def __init__(self, folder: Path, socket: Path, log: Path, account: Account, *, wal_segment_mib: int = 16) -> None:
        self.folder = folder
        self.socket = socket
        self.account = account
        self._data = folder / "data"
        self._wal_segment_mib = wal_segment_mib
        settings = {
            "listen_addresses": "", "unix_socket_directories": str(socket), "unix_socket_permissions": "0700", "port": str(PORT),
            "hba_file": str(folder / "pg_hba.conf"), "ident_file": str(folder / "pg_ident.conf"), "max_connections": "60",
            "shared_buffers": "256MB", "max_wal_size": "2GB", "log_line_prefix": "%m [%p] %q%u ", "cluster_name": "vedette",
            "jit": "off",  # costs more than it saves for the short statements of the daemons and the console
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # SIGINT is the fast shutdown: sessions are ended, data is written. SIGTERM would wait for the sessions.
        self.process = processes.Process("postgres", [PROGRAMS / "postgres", "-D", self._data, *words], log, account,
                                         stop_signal=signal.SIGINT)

    def create(self, template: Path | None = None) -> bool:
        """Makes the cluster, or copies a stopped one made before. False: it is there already."""
        if (self._data / "PG_VERSION").exists():
            self.account.own_tree(self._data)
            return False
        self._check_socket_path()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_access_rules()
        if template is not None:
            subprocess.run(["/bin/cp", "--archive", template / "data", self._data], check=True)
            return True
        shutil.rmtree(self._data, ignore_errors=True)  # what an interrupted attempt left
        self.account.folder(self._data)
        processes.run([PROGRAMS / "initdb", "-D", self._data, "-U", "postgres", "--auth=peer", "--encoding=UTF8",
                       "--locale=C.UTF-8", f"--wal-segsize={self._wal_segment_mib}", "--no-sync",
                       "--no-instructions"], self.account)
        return True

    def start(self, deadline: float = 60) -> None:
        """Starts the server and waits until it takes connections. After a crash this includes its recovery."""
        self._check_socket_path()
        self.account.folder(self.socket)
        self._write_access_rules()
        self.process.start()
        self.process.wait_ready(self.answers, deadline, "ready for connections")

    def answers(self) -> bool:
        """Whether it takes connections now."""
        try:
            self.connect("postgres", "postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def connect(self, role: str, database: str = DATABASE) -> "psycopg2.extensions.connection":
        """A session in autocommit mode; the caller closes it."""
        session = psycopg2.connect(host=str(self.socket), port=PORT, user=role, dbname=database, connect_timeout=5,
                                   application_name="vedette-local")
        session.autocommit = True
        return session

    def bootstrap(self, script: Path) -> None:
        """Makes the database and its roles; both may exist."""
        session = self.connect("postgres", "postgres")
        try:
            with session.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
                if cursor.fetchone() is None:
                    cursor.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            session.close()
        processes.run(["/usr/bin/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.socket, "-p", str(PORT), "-U", "postgres",
                       "-d", DATABASE, "-f", "-"], self.account, text_input=script.read_text(encoding="utf-8"))

    def stop(self) -> None:
        """Writes everything out and ends."""
        self.process.stop(grace=10)

    def _write_access_rules(self) -> None:
        """Local accounts of this stack may be any role of Vedette, and the superuser; nobody else gets in."""
        (self.folder / "pg_hba.conf").write_text("local all,replication all peer map=vedette\n", encoding="utf-8")
        lines = [f'vedette "{user}" {role}\n' for user in local_users(self.account) for role in ("postgres", *ROLES)]
        (self.folder / "pg_ident.conf").write_text("".join(lines), encoding="utf-8")

    def _check_socket_path(self) -> None:
        longest = len(str(self.socket / f".s.PGSQL.{PORT}.lock").encode())
        if longest > LONGEST_SOCKET_PATH:
            raise StackError(f"the path {self.socket} is too long for a Unix socket by {longest - LONGEST_SOCKET_PATH} bytes; "
                             "move the checkout to a shorter path")
