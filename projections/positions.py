"""Where a projection stands in each partition of a log, and whether a stretch of commits may follow there.

Rows and position are written in one transaction that holds the position's row, so whoever comes second waits and then finds out.
"""

from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

from ledger.core.refusal import Conflict
from projections.patches import Source
from projections.projection import LIVE, Projection
from projections.tail import Stretch


@dataclass(frozen=True, slots=True)
class Position:
    """A commit whose rows are in the tables; seq 0: none is."""

    log_id: str
    seq: int
    offset: int
    digest: str
    voids: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """The rows and the position are written."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The tables hold all of it already: another process was first."""

    stored: Position


@dataclass(frozen=True, slots=True)
class Gap:
    """The tables stand elsewhere: reading has to go on from there."""

    stored: Position | None


@dataclass(frozen=True, slots=True)
class Untaken:
    """Postgres does not take a row that follows from these commits, and says why."""

    first: int
    last: int
    why: str


Outcome = Applied | Duplicate | Gap | Untaken


def judge(stretch: Stretch, stored: Position | None) -> Outcome:
    """What a stretch finds at the position's row, which the caller has locked."""
    if stored is None:
        return Gap(None)
    if (stored.seq, stored.digest) == (stretch.before.seq, stretch.before.digest):
        return Applied()
    return Duplicate(stored) if stored.seq >= stretch.after.head.seq else Gap(stored)


class OtherVersion(Conflict):
    """The live tables are of another version than this program folds."""

    def __init__(self, projection: Projection, found: int) -> None:
        do = (
            f"`jobledger projections rebuild {projection.name}` builds those of version {projection.version} beside them; until they are "
            "in use, the program of the other version keeps these up to date"
            if found < projection.version
            else "a newer program has taken over: start that one, or take its tables back by `jobledger projections swap --back`"
        )
        super().__init__(
            f"the tables of projection {projection.name!r} are of version {found}, this program folds version {projection.version}: {do}"
        )


class PositionRows:
    """The rows of `projection_positions` for one projection. `suffix`: of its tables, where they are not the live ones."""

    def __init__(self, schema: str, projection: Projection, suffix: str = LIVE) -> None:
        table = Identifier(schema, "projection_positions")
        mine = SQL("projection = %s AND version = %s AND log = %s AND log_partition = %s")
        self._projection = projection
        self._name = projection.name + suffix
        self._create = SQL(
            "INSERT INTO {} (projection, version, log, log_partition, log_id, log_seq, log_offset, digest, voids, updated_at)"
            " VALUES (%s, %s, %s, %s, '', 0, -1, '', 0, now()) ON CONFLICT DO NOTHING"
        ).format(table)
        self._read = SQL("SELECT log_id, log_seq, log_offset, digest, voids FROM {} WHERE {}").format(table, mine)
        self._lock: Composed = SQL("{} FOR UPDATE").format(self._read)
        self._write = SQL(
            "UPDATE {} SET log_id = %s, log_seq = %s, log_offset = %s, digest = %s, voids = %s, stopped_note = NULL, updated_at = now()"
            " WHERE {}"
        ).format(table, mine)
        self._stop = SQL("UPDATE {} SET stopped_note = %s, updated_at = now() WHERE {}").format(table, mine)
        self._begun = SQL("SELECT FROM {} WHERE projection = %s AND log_seq > 0 LIMIT 1").format(table)
        self._versions = SQL("SELECT DISTINCT version FROM {} WHERE projection = %s").format(table)

    def open(self, connection: Connection[TupleRow], source: Source) -> Position:
        """The position of a source, made if there was none, and locked until the transaction ends: nobody writes there meanwhile. Raises
        `OtherVersion`."""
        with connection.transaction():
            self.create(connection, source)
            found = self.lock(connection, source)
            self.check_version(connection)
        assert found is not None
        return found

    def create(self, connection: Connection[TupleRow], source: Source) -> None:
        connection.execute(self._create, self._key(source))

    def read(self, connection: Connection[TupleRow], source: Source) -> Position | None:
        return self._one(connection, self._read, source)

    def lock(self, connection: Connection[TupleRow], source: Source) -> Position | None:
        return self._one(connection, self._lock, source)

    def write(self, connection: Connection[TupleRow], stretch: Stretch) -> None:
        after = stretch.after
        values = (stretch.log_id, after.head.seq, after.offset, after.head.digest, after.voids)
        connection.execute(self._write, (*values, *self._key(stretch.source)))

    def stop(self, connection: Connection[TupleRow], source: Source, note: str) -> None:
        """Note why the projection stands still here; the next stretch that is written takes the note away."""
        connection.execute(self._stop, (note, *self._key(source)))

    def versions(self, connection: Connection[TupleRow]) -> set[int]:
        """Of the tables with this suffix; none if there are no such tables, or nothing was folded into them yet."""
        return {int(version) for (version,) in connection.execute(self._versions, (self._name,))}

    def have_begun(self, connection: Connection[TupleRow]) -> bool:
        """Something was folded into the tables with this suffix."""
        return connection.execute(self._begun, (self._name,)).fetchone() is not None

    def check_version(self, connection: Connection[TupleRow]) -> None:
        """Raises `OtherVersion`."""
        for found in self.versions(connection) - {self._projection.version}:
            raise OtherVersion(self._projection, found)

    def _one(self, connection: Connection[TupleRow], query: Composed, source: Source) -> Position | None:
        row = connection.execute(query, self._key(source)).fetchone()
        return None if row is None else Position(*row)

    def _key(self, source: Source) -> tuple[str, int, str, int]:
        return self._name, self._projection.version, *source
