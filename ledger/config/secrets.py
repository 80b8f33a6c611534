"""What looks like a secret: by the name of it, or by an address with somebody's password in it."""

import re
from typing import Final

MASK: Final = "***"
_NAME: Final = re.compile(r"SECRET|PASSW|PASSPHRASE|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE", re.IGNORECASE)
_ABBREVIATIONS: Final = frozenset({"pass", "pwd", "psw", "pw", "cred", "creds", "jwt"})  # as a word: COMPASS and PASSENGER are none
_BETWEEN_WORDS: Final = re.compile(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])")
_FOLDER: Final = "PWD"  # the shell's own: where it is
_USER_INFO: Final = re.compile(r"://[^/@\s]*@")
_WITH_PASSWORD: Final = re.compile(r"://[^/@\s:]*:(?!\$\{\w+\}@)[^/@\s]+@")  # the name of a variable is no password


def is_secret_name(name: str) -> bool:
    words = (word.lower() for word in _BETWEEN_WORDS.split(name))
    return _NAME.search(name) is not None or (name != _FOLDER and not _ABBREVIATIONS.isdisjoint(words))


def is_secret_value(value: str) -> bool:
    return _WITH_PASSWORD.search(value) is not None


def masked(value: object, *, name: str = "") -> object:
    """As it can be shown, at whatever depth: of an address, all but who logs in and its parameters."""
    match value:
        case dict():
            return {key: masked(one, name=str(key)) for key, one in value.items()}
        case list() | tuple():
            return [masked(one, name=name) for one in value]
        case str() if value and is_secret_name(name):
            return MASK
        case str() if _USER_INFO.search(value):
            return _USER_INFO.sub(f"://{MASK}@", value.partition("?")[0])
    return value
