"""What each key means: the text that stands under it in the source. Read where somebody asks for it: to read it whenever the settings are
imported, as pydantic can, takes as long as all the rest of them."""

import ast
import inspect
from itertools import pairwise

from pydantic import BaseModel


def meanings(part: type[BaseModel]) -> dict[str, str]:
    """By the name of the field, those of the classes below too. Of none where only what the source was compiled to is there."""
    classes = part.__mro__[: part.__mro__.index(BaseModel)]
    return {name: text for one in reversed(classes) for name, text in _own(one).items()}


def _own(part: type) -> dict[str, str]:
    try:
        [made] = ast.parse(inspect.getsource(part)).body
    except OSError:
        return {}
    assert isinstance(made, ast.ClassDef)
    said: dict[str, str] = {}
    for field, after in pairwise(made.body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                said[name] = inspect.cleandoc(text)
    return said
