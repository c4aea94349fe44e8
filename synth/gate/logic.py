"""Truth tables of the functions and conditions of a Liberty file."""

from collections.abc import Callable, Sequence
from functools import cache, reduce

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, VisitError

from hw.errors import BadInput

# Liberty: ! and ' bind tightest, then ^, then & * and juxtaposition, then + |.
GRAMMAR = r"""
start: either
either: both (("+" | "|") both)*
both: differ (("*" | "&")? differ)*
differ: factor ("^" factor)*
?factor: "!" factor -> negation
       | postfix
?postfix: atom
        | postfix "'" -> negation
?atom: NAME -> variable
     | ZERO -> zero
     | ONE -> one
     | "(" either ")"
NAME: /[A-Za-z_][A-Za-z0-9_]*(\[[0-9]+\])?/
ZERO: "0"
ONE: "1"
%ignore /[ \t\r\n\\]+/
"""
MOST_INPUTS = 16  # a table has 2 ** inputs bits


def columns(count: int) -> list[int]:
    """Tables of each of ``count`` inputs by itself: bit i of table j is bit j of i."""
    return [sum(((1 << (1 << j)) - 1) << at for at in range(1 << j, 1 << count, 2 << j)) for j in range(count)]


class _Tables(Transformer[Token, int]):
    """Folds a parsed expression to its truth table."""

    def __init__(self, inputs: Sequence[str]) -> None:
        super().__init__()
        self.variables = dict(zip(inputs, columns(len(inputs)), strict=True))
        self.all = (1 << (1 << len(inputs))) - 1

    def start(self, parts: list[int]) -> int:
        return parts[0]

    def either(self, parts: list[int]) -> int:
        return reduce(lambda a, b: a | b, parts)

    def both(self, parts: list[int]) -> int:
        return reduce(lambda a, b: a & b, parts)

    def differ(self, parts: list[int]) -> int:
        return reduce(lambda a, b: a ^ b, parts)

    def negation(self, parts: list[int]) -> int:
        return self.all ^ parts[0]

    def zero(self, _: list[Token]) -> int:
        return 0

    def one(self, _: list[Token]) -> int:
        return self.all

    def variable(self, parts: list[Token]) -> int:
        return self.variables[str(parts[0])]


@cache
def _parser() -> Callable[[str], object]:
    return Lark(GRAMMAR, parser="lalr").parse


@cache
def _table(text: str, inputs: tuple[str, ...]) -> int:
    if len(inputs) > MOST_INPUTS:
        raise BadInput(f"a truth table has at most {MOST_INPUTS} inputs, got {len(inputs)}: {' '.join(inputs)}")
    try:
        return _Tables(inputs).transform(_parser()(text))  # type: ignore[arg-type]  # lark types the tree loosely
    except VisitError as error:
        raise BadInput(f"'{text}' names {error.orig_exc}, which is none of the pins {' '.join(inputs)}") from None
    except LarkError:
        raise BadInput(f"wanted a Boolean expression of ! ' ^ & * + | ( ) 0 1 and pins, got '{text}'") from None


def table(text: str, inputs: Sequence[str]) -> int:
    """Truth table of a Liberty expression: bit i is its value where input j has the value of bit j of i.

    Raises BadInput for text that is no expression, and for a name that is not among ``inputs``.
    """
    return _table(text, tuple(inputs))
