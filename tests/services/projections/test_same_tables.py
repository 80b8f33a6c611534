"""However a log comes to the tables, they are the same: applied twice, in pieces of every size, with voids in it, or rebuilt. By hash."""

import random
from collections.abc import Sequence

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from ledger.config import Settings
from ledger.core.chain import Head
from ledger.core.wire import Event
from projections.builtin import TABLES
from projections.connecting import connect
from projections.memory import Memory
from projections.patches import Source
from projections.positions import Applied, Duplicate
from projections.projection import Projection
from projections.tail import Reached, Tail
from projections.writing import Writer
from tests.services.projections.test_own import costs
from tests.synthetic_log import SyntheticLog, pause_events, registry_events, requested, scheduled_lives, varied_lives
from tests.unit.projections.test_tail import records

__all__ = ["costs"]

OFFSETS = ("log_offset", "requested_offset")  # what voids move


def hashes(sql: Connection[TupleRow], projection: Projection) -> dict[str, tuple[int, str]]:
    """Of each table, whole but for offsets."""
    found = {}
    for form in projection.forms:
        columns = SQL(", ").join(Identifier(name) for name in form.columns if name not in OFFSETS)
        rows = SQL("SELECT ROW({})::text AS line FROM {}").format(columns, Identifier(form.table))
        query = SQL("SELECT count(*), md5(string_agg(line, E'\\n' ORDER BY line)) FROM ({}) r").format(rows)
        ((count, digest),) = sql.execute(query).fetchall()
        found[form.table] = (int(count), str(digest))
    return found


def logs_of(seed: int, voids: float) -> list[SyntheticLog]:
    """The registry and a partition of events; voids stand between their commits."""
    chance, made = random.Random(seed), []
    told: dict[Source, Sequence[Event]] = {
        ("registry", 0): [*registry_events(), *pause_events()],
        ("events", 0): [*varied_lives(120, 0, seed), *scheduled_lives(40, 0, seed)],
    }
    for source, events in told.items():
        log = SyntheticLog(*source)
        log.open("L", 4)
        for first in range(0, len(events), 7):
            log.commit(events[first : first + 7])
            if chance.random() < voids:
                log.void([requested(90_000 + first, 0)])
        made.append(log)
    return made


def applied(settings: Settings, projection: Projection, logs: Sequence[SyntheticLog], commits: int) -> None:
    """In pieces of so many records, each twice; every few pieces by somebody else, who knows only what stands in the tables."""
    with connect(settings) as connection:
        writer = Writer(connection, settings.database.table_schema, projection)
        for log in logs:
            source, reached, memory = (log.log, log.partition), Reached(Head(log.log, log.partition)), Memory()
            writer.open(source)
            tail = Tail("L", reached, projection.fold(log.log, 4, memory))
            for number, first in enumerate(range(0, len(log.records), commits)):
                tail.feed(records(log)[first : first + commits])
                if (piece := tail.take()) is not None:
                    assert writer.apply([piece]) == {source: Applied()}
                    assert isinstance(writer.apply([piece])[source], Duplicate)
                if number % 3 == 2:
                    tail = Tail("L", tail.reached, projection.fold(log.log, 4, writer.open(source)[1]))
            assert tail.broken is None


def emptied(sql: Connection[TupleRow], projection: Projection) -> None:
    sql.execute(SQL("TRUNCATE {}").format(SQL(", ").join(Identifier(form.table) for form in projection.forms)))
    sql.execute("DELETE FROM projection_positions WHERE projection = %s", (projection.name,))


@pytest.mark.parametrize("whose", ["ours", "own"])
def test_pieces_of_every_size_twice_and_with_voids(upgraded: Settings, sql: Connection[TupleRow], costs: Projection, whose: str) -> None:
    projection = TABLES if whose == "ours" else costs
    plain, voided = logs_of(7, 0.0), logs_of(7, 0.3)
    assert len(voided[1].records) > len(plain[1].records)
    applied(upgraded, projection, plain, 10_000)
    expected = hashes(sql, projection)
    assert sum(count for count, _ in expected.values()) > 20
    for logs, sizes in ((plain, (1, 2, 7, 50)), (voided, (3, 10_000))):
        for size in sizes:
            emptied(sql, projection)
            applied(upgraded, projection, logs, size)
            assert hashes(sql, projection) == expected, size


@pytest.mark.slow
def test_pieces_of_every_size(upgraded: Settings, sql: Connection[TupleRow], costs: Projection) -> None:
    for projection in (TABLES, costs):
        for seed in range(2):
            found = []
            for voids, sizes in ((0.0, range(1, 40)), (0.4, range(1, 60, 3))):
                for size in sizes:
                    applied(upgraded, projection, logs_of(seed, voids), size)
                    found.append(hashes(sql, projection))
                    emptied(sql, projection)
            assert all(one == found[0] for one in found)
