"""When a job fires: `Schedule(cron="0 30 2 * * *", timezone="Europe/Berlin").next(datetime.now(UTC))`."""

from ledger.core.cron import Dst
from ledger.core.invalid import Invalid
from ledger.core.schedule import Schedule

__all__ = ["Dst", "Invalid", "Schedule"]
