"""Hints: which offers are told by Redis before Kafka brings them."""

from msgspec import Raw

from ledger.core.ids import ExecutionId, Micros, Token
from ledger.core.offers import Hint, Offer, Offers
from processors.control.hints import Hints

MADE = Offers(0, (Offer(ExecutionId("a-0"), Token(1), 1, "sync", "sync", 1, Raw(b"{}")),))


def considered(hints: Hints, now: float, *, outstanding: int = 1, size: int = 200) -> bool:
    return hints.consider("mail", MADE, size=size, outstanding=outstanding, at=Micros(7), now=now)


def test_the_first_offers_after_a_quiet_time_are_told_once_on_the_channel_of_their_queue() -> None:
    hints = Hints(lambda queue: f"work:{queue}")
    assert considered(hints, 10.0) and hints
    assert hints.take() == [("work:mail", Hint(Micros(7), MADE))]
    assert not hints and hints.take() == []


def test_under_load_nothing_is_hinted_at_until_it_is_quiet_again() -> None:
    hints = Hints(str)
    assert considered(hints, 10.0)
    assert [considered(hints, 10.0 + nth * 0.015) for nth in (1, 2, 3)] == [False, False, False]
    assert considered(hints, 10.045 + 0.021)


def test_many_or_large_offers_go_by_kafka_alone() -> None:
    assert not considered(Hints(str), 10.0, outstanding=5)
    assert not considered(Hints(str), 10.0, size=16 * 1024 + 1)
    assert considered(Hints(str), 10.0, outstanding=4, size=16 * 1024)
