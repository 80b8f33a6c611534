"""One team's handlers over three deploys: what is declared, and what an old and a new worker have the code for."""

from ledger import Jobs

before, old, new, after = Jobs(), Jobs(), Jobs(), Jobs()


async def by_old() -> str:
    return "old"


async def by_new() -> str:
    return "new"


before.job("bill", version=1)(by_old)
before.job("pack", version=1)(by_old)
old.job("bill", version=1)(by_old)
new.job("bill", version=2)(by_new)
new.job("pack", version=2, minimal_supported_version=2)(by_new)
after.job("bill", version=3)(by_new)
after.job("pack", version=2, minimal_supported_version=2)(by_new)
