"""The moment at which a set of tables takes the place of the live one: one transaction, and readers see either the one or the other.

The positions come first, and whole: whoever writes locks them before the rows, so a consumer either has committed or finds its place moved
(or, under another version, taken away). Only then the tables, and for as long as renames take.
"""

from contextlib import suppress
from typing import Final

from psycopg import Connection
from psycopg.errors import DeadlockDetected, LockNotAvailable, UndefinedColumn, UndefinedTable
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

from ledger.core.refusal import Conflict
from ledger.crashpoints import crash_point
from projections.positions import PositionRows
from projections.projection import ASIDE, HELD, LIVE, NEXT, OLD, Projection
from projections.retention import Retention
from projections.table_sets import TableSet, quoted

WRITERS: Final = "30s"  # until those that write have committed; nobody reads meanwhile what is locked for it
# Readers wait behind us, and may hold one table and want the other: so mostly for less than `deadlock_timeout`, then all locks are given
# back. A vacuum gives way after that second only.
READERS: Final = (*("100ms",) * 30, *("2s",) * 5)
LONGEST_NAME: Final = 63  # Postgres cuts off the rest


class Swap:
    """`connection` is in autocommit, and holds the claim that one at a time may rebuild, swap and drop."""

    def __init__(self, connection: Connection[TupleRow], schema: str, projection: Projection) -> None:
        self._connection = connection
        self._schema = schema
        self._projection = projection

    def claim(self) -> None:
        """For as long as the connection lives, so a claim dies with its process. Raises `Conflict`."""
        name = f"jobledger rebuild {self._schema}.{self._projection.name}"
        locked = self._connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,))
        if locked.fetchone() != (True,):
            raise Conflict(f"another rebuild of {self._projection.name!r} in schema {self._schema!r} is under way: wait for it, or stop it")

    def bring_in(self, suffix: str, *, keep: bool) -> None:
        """Put the set with this suffix in the place of the live one, which is kept as the old one or dropped. Raises `Conflict`."""
        try:
            with self._connection.transaction():
                self._bring_in(suffix, keep)
                crash_point("rebuild:before-swap-commit")
            crash_point("rebuild:after-swap-commit")
        except LockNotAvailable as error:
            raise Conflict(
                "the tables are in use by long transactions, so the others could not take their place: "
                f"end those ({self._users()}), then `jobledger projections swap {self._projection.name}`"
            ) from error

    def take_back(self) -> None:
        """The tables that were kept become the live ones; what was live is kept in their stead. Raises `Conflict`."""
        versions = PositionRows(self._schema, self._projection, OLD).versions(self._connection)
        if not versions:
            raise Conflict(f"no tables of {self._projection.name!r} were kept: `jobledger projections rebuild --keep-old` keeps them")
        if versions != {self._projection.version}:
            raise Conflict(
                f"the tables that were kept are of version {max(versions)}, this program's are of version {self._projection.version}: "
                "take them back by the program that made them"
            )
        kept = self._set(OLD)
        if not kept.is_there():
            raise Conflict(
                "the tables that were kept have another shape than this program's: "
                f"`jobledger projections rebuild {self._projection.name}` makes some that have it"
            )
        kept.add_indexes()  # an upgrade since then has added to the live ones only
        self.bring_in(OLD, keep=True)

    def drop(self) -> list[str]:
        """What stands beside the live tables; the names of what was there."""
        dropped = list[str]()
        with self._connection.transaction():
            for suffix in (NEXT, NEXT + HELD, OLD):
                dropped += self._there(suffix)
                self._remove(suffix)
        return dropped

    def _bring_in(self, suffix: str, keep: bool) -> None:
        run = self._connection.execute
        run("SET LOCAL synchronous_commit = on")
        run(SQL("SET LOCAL lock_timeout = {}").format(WRITERS))
        for table in ("projection_positions", "retention_horizons"):  # each writer begins with one of them
            run(SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(Identifier(self._schema, table)))
        for beside in self._there(suffix) + self._there(OLD):  # nobody reads them but a vacuum, and that gives way
            run(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(Identifier(self._schema, beside)))
        live = self._there(LIVE)
        grants = self._lock(live)
        if keep:
            self._check_dependents(live)
            self._rename(LIVE, ASIDE)
        else:
            self._remove(LIVE)
        self._rename(suffix, LIVE)
        if keep:
            self._remove(OLD)
            self._rename(ASIDE, OLD)
        self._set(LIVE).add_views()
        for grant in grants:
            with suppress(UndefinedColumn, UndefinedTable), self._connection.transaction():  # a savepoint: another version may lack it
                run(grant)

    def _there(self, suffix: str) -> list[str]:
        return [table + suffix for table in self._set(suffix).tables()]

    def _set(self, suffix: str) -> TableSet:
        return TableSet(self._connection, self._schema, self._projection, suffix)

    def _lock(self, live: list[str]) -> list[Composed]:
        """Answers what was granted then. Raises `LockNotAvailable`."""
        for patience in READERS[:-1]:
            with suppress(LockNotAvailable, DeadlockDetected):
                return self._lock_within(live, patience)
        return self._lock_within(live, READERS[-1])

    def _lock_within(self, live: list[str], patience: str) -> list[Composed]:
        """The views come first, and go, as who reads one has it before its tables."""
        with self._connection.transaction():  # a savepoint: locks are given back at its rollback
            self._connection.execute(SQL("SET LOCAL lock_timeout = {}").format(patience))
            grants = self._grants()
            self._set(LIVE).drop_views()
            if live:
                tables = SQL(", ").join(Identifier(self._schema, table) for table in live)
                self._connection.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(tables))
        return grants

    def _remove(self, suffix: str) -> None:
        self._set(suffix).drop()
        query = SQL("DELETE FROM {} WHERE projection = %s").format(Identifier(self._schema, "projection_positions"))
        self._connection.execute(query, (self._projection.name + suffix,))
        Retention(self._schema, self._projection.name + suffix).forget(self._connection)

    def _rename(self, before: str, after: str) -> None:
        """Every table of a set that is there, with its indexes, and the positions."""
        run, name = self._connection.execute, self._projection.name
        for table in self._set(before).tables():
            for index in self._indexes(table + before):
                changed = index.removesuffix(before) + after
                if changed != index and len(changed.encode()) <= LONGEST_NAME:  # what is not so is an index of yours
                    run(SQL("ALTER INDEX {} RENAME TO {}").format(Identifier(self._schema, index), Identifier(changed)))
            run(SQL("ALTER TABLE {} RENAME TO {}").format(Identifier(self._schema, table + before), Identifier(table + after)))
        moved = SQL("UPDATE {} SET projection = %s WHERE projection = %s").format(Identifier(self._schema, "projection_positions"))
        run(moved, (name + after, name + before))
        Retention(self._schema, name + before).rename(self._connection, name + after)

    def _indexes(self, table: str) -> list[str]:
        """Of a table as it is there, which may be of another version."""
        query = "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = to_regclass(%s)"
        return [str(name) for (name,) in self._connection.execute(query, (quoted(self._schema, table),)).fetchall()]

    def _check_dependents(self, live: list[str]) -> None:
        """A view of somebody else's would go on showing the old tables, and nobody would know."""
        found = self._connection.execute(
            "SELECT DISTINCT v.oid::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid"
            " JOIN pg_class v ON v.oid = r.ev_class"
            " WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass"
            " AND d.refobjid = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) name) AND v.oid <> d.refobjid",
            ([quoted(self._schema, table) for table in live],),
        ).fetchall()
        if found:
            names = ", ".join(name for (name,) in found)
            raise Conflict(f"something of yours depends on the tables ({names}): drop it, swap, make it again")

    def _users(self) -> str:
        """Who holds locks on the live tables and views."""
        found = self._connection.execute(
            "SELECT DISTINCT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.granted AND a.pid <> pg_backend_pid() AND l.relation = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) name)",
            ([quoted(self._schema, name) for name in self._readable()],),
        )
        return ", ".join(f"pid {pid} {name}".rstrip() for pid, name in found) or "they are gone by now"

    def _readable(self) -> list[str]:
        return [*(form.table for form in self._projection.forms), *self._projection.views]

    def _grants(self) -> list[Composed]:
        """What others may do with the live tables and views, and with single columns: it is granted again."""
        found = self._connection.execute(
            "SELECT c.relname, g.privilege_type, CASE WHEN g.grantee = 0 THEN NULL ELSE pg_get_userbyid(g.grantee) END, g.is_grantable,"
            " acl.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " CROSS JOIN LATERAL (SELECT NULL AS attname, c.relacl AS acl"
            " UNION ALL SELECT a.attname, a.attacl FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped) acl,"
            " aclexplode(acl.acl) g WHERE n.nspname = %s AND c.relname = ANY(%s) AND g.grantee <> c.relowner",
            (self._schema, self._readable()),
        )
        return [
            SQL("GRANT {}{} ON {} TO {}{}").format(
                SQL(privilege),
                SQL(" ({})").format(Identifier(column)) if column else SQL(""),
                Identifier(self._schema, table),
                Identifier(role) if role else SQL("PUBLIC"),
                SQL(" WITH GRANT OPTION" if grantable else ""),
            )
            for table, privilege, role, grantable, column in found
        ]
