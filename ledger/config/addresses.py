"""Addresses of servers, as far as they can be judged without a server. What is said of one with a password does not repeat it."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

_BROKER: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(?::([0-9]{1,5}))?|[0-9A-Fa-f:.]*::[0-9A-Fa-f:.]*")
_KEYWORDS: Final = re.compile(r"\s*[a-z_]+\s*=")  # libpq's other form: host=... dbname=...
HIGHEST_PORT: Final = 65_535


def _brokers(text: str) -> str:
    for one in text.rstrip().removesuffix(",").split(","):
        found = _BROKER.fullmatch(one.strip())
        if found is None or not 1 <= int(found[1] or 9092) <= HIGHEST_PORT:
            raise ValueError(
                f"{one.strip()!r} is no address of a broker: host:port, several with commas between; for example '127.0.0.1:9092'"
            )
    return text


def _redis(url: SecretStr) -> SecretStr:
    return _checked(url, ("redis", "rediss", "unix"), "redis://127.0.0.1:6379/0")


def _postgres(url: SecretStr) -> SecretStr:
    if not url.get_secret_value() or _KEYWORDS.match(url.get_secret_value()):
        return url  # as libpq takes it: what is not said comes from its own variables
    return _checked(url, ("postgresql", "postgres", "postgresql+psycopg"), "postgresql://user@127.0.0.1:5432/name")


def _checked(url: SecretStr, schemes: tuple[str, ...], example: str) -> SecretStr:
    scheme, mark, rest = url.get_secret_value().partition("://")
    if not mark or scheme not in schemes:
        raise ValueError(f"is no URL of such a server: it has to begin with {schemes[0]}://, for example {example!r}")
    for place in rest.partition("/")[0].rpartition("@")[2].split(","):  # Postgres may be named at several places
        try:
            urlsplit(f"//{place}").port  # noqa: B018  # asking is the check
        except ValueError:
            raise ValueError(f"is no URL of such a server: its port is none, for example {example!r}") from None
    return url


Brokers = Annotated[str, AfterValidator(_brokers)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_postgres)]
