"""A connection of `redisConfig`, which is one of ioredis, as an address of Redis."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from ledger.core.invalid import quoted

IN_THE_ADDRESS: Final = ("host", "port", "username", "password", "db", "tls", "path", "url")
NAMES: Final = ("connectionName", "namespace")  # of the connection in the application: they change nothing
BY_ITSELF: Final = "what a connection does by itself (time limits, queues, retries) is jobledger's own affair"
LEFT_OUT: Final = {
    "keyPrefix": "all keys begin with `prefix`",
    **dict.fromkeys(
        (
            *("autoPipeliningIgnoredCommands", "autoResendUnfulfilledCommands", "autoResubscribe", "blockingTimeout", "commandQueue"),
            *("commandTimeout", "connectTimeout", "disconnectTimeout", "enableAutoPipelining", "enableOfflineQueue", "enableReadyCheck"),
            *("family", "keepAlive", "lazyConnect", "maxLoadingRetryTime", "maxRetriesPerRequest", "monitor", "noDelay", "offlineQueue"),
            *("dropBufferSupport", "localAddress", "protocol", "scripts"),
            *("readOnly", "reconnectOnError", "retryStrategy", "showFriendlyErrorStack", "socketTimeout", "stringNumbers"),
        ),
        BY_ITSELF,
    ),
}
SECTION_LEFT_OUT: Final = dict.fromkeys(("closeClient", "errorLog", "isGlobal", "readyLog"), BY_ITSELF)
SEVERAL_SERVERS: Final = frozenset(
    {"cluster", "enableTLSForSentinelMode", "name", "natMap", "nodes", "preferredSlaves", "role", "sentinelPassword", "sentinels"}
    | {"sentinelTLS", "sentinelUsername", "slotsRefreshTimeout"}
)
ONE_SERVER: Final = "is not supported: jobledger connects to one server, by `host` and `port` or by `url`"
_NO_HOST: Final = frozenset("/?#@[] \t\n")
_INSTEAD: Final = {
    "ca": "?ssl_ca_certs=FILE",
    "cert": "?ssl_certfile=FILE",
    "key": "?ssl_keyfile=FILE",
    "rejectUnauthorized": "?ssl_cert_reqs=none",
}


class Unfit(Exception):
    """`keys`: where it stands, inside the connection."""

    def __init__(self, keys: tuple[str, ...], why: str) -> None:
        super().__init__(why)
        self.keys = keys


def address_of(connection: Mapping[str, object]) -> str:
    """Of the keys that are IN_THE_ADDRESS; empty ones say nothing. Raises `Unfit`."""
    said = {key: value for key, value in connection.items() if value is not None and value is not False and value != ""}
    is_tls = _is_tls(said)
    if "url" in said:
        url = str(said["url"])
        for key, value in said.items():
            if key != "url" and (key, str(value)) != ("db", "0") and not (key == "tls" and (not is_tls or url.startswith("rediss:"))):
                raise Unfit((key,), "stands in `url` itself, for example rediss://user:password@host:6379/0 (rediss is by TLS): keep one")
        return url
    database = _number(said, "db", 0, 0, 2**31, "the number of a database")
    if path := said.get("path"):
        for key in ("host", "port", "tls"):
            if key in said and (key != "tls" or is_tls):
                raise Unfit((key,), "a connection is by `path` or by `host`: keep one")
        return f"unix://{_login(said)}{quote(str(path))}?db={database}"
    port = _number(said, "port", 6379, 1, 65535, "a port from 1 to 65535")
    return f"{'rediss' if is_tls else 'redis'}://{_login(said)}{_host(said)}:{port}/{database}"


def _number(said: Mapping[str, object], key: str, default: int, least: int, most: int, what: str) -> int:
    value = said.get(key, default)
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or not least <= int(text[:11]) <= most:
        raise Unfit((key,), f"has to be {what}, for example {default}, not {quoted(value)}")
    return int(text)


def _host(said: Mapping[str, object]) -> str:
    host = said.get("host", "localhost")
    if not isinstance(host, str) or not _NO_HOST.isdisjoint(host):
        raise Unfit(("host",), "has to be a host and no more, for example 'localhost'")
    return f"[{host}]" if ":" in host else host


def _login(said: Mapping[str, object]) -> str:
    user, password = (quote(str(said.get(key, "")), safe="") for key in ("username", "password"))
    return f"{user}:{password}@" if password else f"{user}@" if user else ""


def _is_tls(said: Mapping[str, object]) -> bool:
    """ioredis takes an object for it, empty or with options of TLS; a variable of the environment says true or false."""
    match said.get("tls"):
        case None | "false":
            return False
        case True | "true":
            return True
        case dict() as options:
            for key, value in options.items():
                if (key, value) != ("rejectUnauthorized", True):
                    instead = f"say it in an address, as in `url: 'rediss://h:6379/0{_INSTEAD.get(key, '')}'`"
                    raise Unfit(("tls", key), f"is not supported: {instead}")
            return True
        case other:
            raise Unfit(("tls",), f"has to be true, false or {{}}, not {quoted(other)}")
