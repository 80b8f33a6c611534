"""What a handler's signature says: which data it takes, what it returns, and whether it wants its context."""

import functools
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Union, get_args, get_origin

from msgspec import Raw
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from ledger.context import Cancel, Context, Snooze
from ledger.core import wire
from ledger.core.bodies import NOTHING
from ledger.core.refusal import Misconfigured, Refused
from ledger.core.strict_json import check_json
from ledger.submitting.encoding import check_whole

_LIKE_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
MOST_PROBLEMS: Final = 5  # named in the message about invalid data


class InvalidData(Exception):
    """The data does not fit the handler's type. The message names each place as a JSON pointer, and never a value."""


class InvalidResult(Exception):
    """What the handler returned is not what it promised, or nothing that JSON can hold."""


class ResultTooLarge(Exception):
    """The result has more bytes than an event may carry."""


@dataclass(frozen=True, slots=True)
class Signature:
    """`read` makes the handler's data from JSON, `write` JSON from its result. `default`: the data where there is none, or null."""

    takes_data: bool
    takes_context: bool
    is_async: bool
    data: TypeAdapter[object]
    result: TypeAdapter[object]
    may_return_nothing: bool
    default: object = inspect.Parameter.empty

    def read(self, data: Raw) -> object:
        """What the handler is called with; of no interest where it takes no data."""
        text = bytes(data) or b"null"
        if text == b"null" and self.default is not inspect.Parameter.empty:
            return self.default
        try:
            return self.data.validator.validate_json(text)
        except ValidationError as error:
            raise InvalidData(_problems(error)) from None
        except (ValueError, RecursionError) as error:
            raise InvalidData(str(error)) from None

    def write(self, value: object) -> Raw:
        if value is None:
            if self.may_return_nothing:
                return NOTHING
            raise InvalidResult("the handler returned None although its annotation promises a result")
        if inspect.isawaitable(value) or inspect.isasyncgen(value):
            raise InvalidResult(_never_run(value))
        try:
            text = self.result.dump_json(value, by_alias=True, warnings="error")
            if len(text) <= wire.LARGEST_RESULT:
                check_whole(text, value, self.result)
                check_json(text)
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            raise InvalidResult(str(error)) from None
        except Refused as refused:
            raise InvalidResult(refused.detail) from None
        if len(text) > wire.LARGEST_RESULT:
            raise ResultTooLarge(
                f"the result has {len(text)} bytes, at most {wire.LARGEST_RESULT} are kept: store it elsewhere and return where it is"
            )
        return Raw(text)


def runs_async(function: object) -> bool:
    """Calling it makes a coroutine: it is an async function, an object whose `__call__` is one, or a `functools.partial` of such."""
    return any(inspect.iscoroutinefunction(code) for code in _codes(function))


def _codes(function: object) -> tuple[object, object]:
    """What a call may run."""
    while isinstance(function, functools.partial):
        function = function.func
    return function, getattr(function, "__call__", None)  # noqa: B004  # its code is looked at, too


def read_signature(function: Callable[..., object], place: str) -> Signature:
    """`place` says where the handler is, for the message of `Misconfigured`."""
    if any(inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code) for code in _codes(function)):
        raise Misconfigured(f"{place} is a generator: a handler is a plain or an async function that returns its result")
    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, TypeError, ValueError, SyntaxError) as error:
        raise Misconfigured(
            f"the annotations of {place} cannot be read: {error}. Types of handlers stand at the top of a module"
        ) from error
    data, context = _roles(signature, place)
    wanted = inspect.Parameter.empty if data is None else data.annotation
    result = _without_answers(signature.return_annotation)
    written = _adapter(object if result is inspect.Signature.empty else result, f"the result of {place}")
    return Signature(
        takes_data=data is not None,
        takes_context=context,
        is_async=runs_async(function),
        data=_adapter(object if wanted is inspect.Parameter.empty else wanted, f"the data of {place}"),
        result=written,
        may_return_nothing=_allows_none(written),
        default=inspect.Parameter.empty if data is None else data.default,
    )


def _roles(signature: inspect.Signature, place: str) -> tuple[inspect.Parameter | None, bool]:
    """The parameter for the data, None if there is no such, and whether there is one for the context. What can only be given by name is the
    function's own and keeps its default."""
    parameters = signature.parameters.values()
    match [one for one in parameters if one.kind in _LIKE_POSITIONAL]:
        case []:
            roles: tuple[inspect.Parameter | None, bool] | None = (None, False)
        case [only]:
            roles = (None, True) if _is_context(only) else (only, False)
        case [data, context] if not _is_context(data) and (_is_context(context) or _says_nothing(context)):
            roles = (data, True)
        case _:
            roles = None
    if roles is None or any(_is_in_the_way(one) for one in parameters):
        named = [one.replace(annotation=inspect.Parameter.empty, default=inspect.Parameter.empty) for one in parameters]
        raise Misconfigured(
            f"{place} takes {inspect.Signature(named)}: a handler takes its data and then, if it likes, `ctx: Context`; "
            "what else it has stands behind a `*` with a default, and a decorator shows what it decorates by functools.wraps"
        )
    return roles


def _is_context(parameter: inspect.Parameter) -> bool:
    return parameter.annotation in (Context, Context | None)


def _says_nothing(parameter: inspect.Parameter) -> bool:
    return parameter.annotation is parameter.default is inspect.Parameter.empty


def _is_in_the_way(parameter: inspect.Parameter) -> bool:
    """Nobody would give it anything."""
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
        return parameter.default is inspect.Parameter.empty or _is_context(parameter)
    return parameter.kind not in _LIKE_POSITIONAL


def _without_answers(annotation: object) -> object:
    """`Receipt | Snooze` is a receipt as far as the result goes."""
    if annotation in (Snooze, Cancel):
        return type(None)
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    kept = tuple(one for one in get_args(annotation) if one not in (Snooze, Cancel))
    return Union[kept] if kept else type(None)  # noqa: UP007  # made from a tuple, which `|` cannot


def _adapter(annotation: object, place: str) -> TypeAdapter[object]:
    try:
        return TypeAdapter(annotation)  # type: ignore[arg-type]  # read from a signature, so it may be no type: then this raises
    except (PydanticUserError, TypeError) as error:
        raise Misconfigured(f"{place}: {annotation!r} cannot be read from JSON: {str(error).splitlines()[0]}") from error


def _never_run(value: object) -> str:
    """What to say of a result that is code which nobody ran; a coroutine is closed, so that Python does not say it once more."""
    if inspect.iscoroutine(value):
        value.close()
    kind = type(value).__name__
    return f"the handler returned a {kind}, whose code never ran: write it, and each decorator of it, as `async def` with `await`"


def _allows_none(adapter: TypeAdapter[object]) -> bool:
    """Asked of the reading side: the writing side lets None pass for anything."""
    try:
        adapter.validate_python(None, strict=True)
    except ValidationError:
        return False
    return True


def _problems(error: ValidationError) -> str:
    """Each place and what is wrong there. Never the value: data of users does not belong into error messages."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"/{'/'.join(map(_escaped, one['loc']))}: {one['msg']}" if one["loc"] else one["msg"] for one in problems[:MOST_PROBLEMS]]
    return "; ".join(shown) + (f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else "")


def _escaped(part: int | str) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
