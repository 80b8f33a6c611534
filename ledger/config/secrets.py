"""What looks like a secret: by the name of it, or by an address with somebody's password in it."""

import re
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"
_NAME: Final = re.compile(r"SECRET|PASSW|PASSPHRASE|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE", re.IGNORECASE)
_ABBREVIATIONS: Final = frozenset({"pass", "pwd", "psw", "pw", "cred", "creds", "jwt"})  # as a word: COMPASS and PASSENGER are none
_BETWEEN_WORDS: Final = re.compile(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])")
_SECRETS: Final = frozenset(
    {*_ABBREVIATIONS, "password", "passwd", "passphrase", "sslpassword", "secret", "clientsecret", "token", "accesstoken", "authtoken"}
    | {"refreshtoken", "apikey", "accesskey", "secretkey", "privatekey", "credentials"}
)
_FOLDER: Final = "PWD"  # the shell's own: where it is
_USER_INFO: Final = re.compile(r"://[^/\s]*@")
_LOGIN: Final = re.compile(r"://(?:[^?]*|[^/]*)@")
_WITH_PASSWORD: Final = re.compile(r"://[^/@\s:]*:(?!\$\{\w+\}@)[^/@\s]+@")  # the name of a variable is no password
_PARAMETER: Final = re.compile(r"(?<=[?&])([^?&=\s]+)(=)(?!\$\{\w+\}(?:&|$))([^&]+)")  # of an address
_KEYWORD: Final = re.compile(  # as PostgreSQL takes them too: `host=db password=x`; what has a space and no quotes it does not take
    r"(?<!\S)(\w+)(\s*=\s*)('(?:\\.|[^'\\])*'|(?:\\.|\S)+(?:\s+(?!\w+\s*=)\S+)*)"
)


def is_secret_name(name: str) -> bool:
    words = (word.lower() for word in _BETWEEN_WORDS.split(name))
    return _NAME.search(name) is not None or (name != _FOLDER and not _ABBREVIATIONS.isdisjoint(words))


def is_secret_value(value: str) -> bool:
    """An address with a password, or with a parameter that is nothing but a secret: `max_tokens` and `page_token` are none."""
    parameters = _PARAMETER.finditer(value) if "://" in value else ()
    return _WITH_PASSWORD.search(value) is not None or any(_plainly(found[1]) in _SECRETS for found in parameters)


def _plainly(parameter: str) -> str:
    return "".join(_BETWEEN_WORDS.split(unquote(parameter))).lower()


def masked_address(address: str) -> str:
    """Of a server, and nothing but that: also a password as it is, with a space, `/` or `?` in it, which no server takes, is masked."""
    return str(masked(_LOGIN.sub(f"://{MASK}@", address)))


def masked(value: object, *, name: str = "") -> object:
    """As it can be shown, at whatever depth: of an address, all but who logs in and what is secret of its parameters."""
    match value:
        case dict():
            return {key: masked(one, name=str(key)) for key, one in value.items()}
        case list() | tuple():
            return [masked(one, name=name) for one in value]
        case str() if value and is_secret_name(name):
            return MASK
        case str() if "://" in value:
            return _PARAMETER.sub(_parameter, _USER_INFO.sub(f"://{MASK}@", value))
        case str():
            return _KEYWORD.sub(_parameter, value)
    return value


def _parameter(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{MASK}" if is_secret_name(unquote(found[1])) else found[0]
