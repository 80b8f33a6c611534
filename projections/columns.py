"""Columns as the tables declare them: a name, what it means, whether it is always there. `address` ends every row of a fold."""

from typing import Final, TypeVar

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

T = TypeVar("T")

METADATA: Final = MetaData()


def _column(name: str, kind: TypeEngine[T], doc: str, *, required: bool = False) -> SchemaItem:
    return Column(name, kind, doc=doc, nullable=not required)


def text(name: str, doc: str, *, required: bool = False) -> SchemaItem:
    return _column(name, Text(), doc, required=required)


def integer(name: str, doc: str, *, required: bool = False) -> SchemaItem:
    return _column(name, Integer(), doc, required=required)


def bigint(name: str, doc: str, *, required: bool = False) -> SchemaItem:
    return _column(name, BigInteger(), doc, required=required)


def instant(name: str, doc: str, *, required: bool = False) -> SchemaItem:
    return _column(name, DateTime(timezone=True), doc, required=required)


def document(name: str, doc: str) -> SchemaItem:
    return _column(name, JSONB(none_as_null=True), doc)


def address() -> list[SchemaItem]:
    return [
        integer("log_partition", "partition of the log of the event that wrote this row last", required=True),
        bigint("log_seq", "number of that event's commit", required=True),
        integer("log_index", "place of the event in the commit, from 0", required=True),
        bigint("log_offset", "offset of the commit's record", required=True),
    ]
