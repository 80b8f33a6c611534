"""Orders: what control tells a worker of an attempt. Best effort, never stored; the log is the judge all the same."""

from typing import Literal

from msgspec import Struct

from ledger.core.ids import ExecutionId, Micros, Token
from ledger.core.offers import Offer

Why = Literal["cancelled", "fenced", "accepted", "next"]


class Order(Struct, frozen=True, omit_defaults=True):
    """Let this attempt stop. `cancelled`: it is asked to, and says so at its end. `fenced`: control counts it no more, whatever it says.
    Or, `accepted`: its start is in the log, so that exclusive code may begin. Or, `next`: the same of an attempt that control relayed to
    this worker, which learns of it here; `at` is the broker's time when control said so.

    One of `token` and `attempt` names it: the grant, or the attempt's number and all before it.
    """

    execution_id: ExecutionId
    why: Why
    token: Token | None = None
    attempt: int | None = None
    reason: str | None = None
    offer: Offer | None = None
    at: Micros | None = None
