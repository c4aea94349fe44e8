"""Syntax of Liberty files: text to nested groups. What the groups mean is in `synth.gate.liberty`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from hw.errors import BadInput

# Semicolons are optional: files in use leave some out. A backslash ends a line, as white space does.
GRAMMAR = r"""
start: group ";"*
group: WORD "(" arguments ")" "{" (item | ";")* "}"
?item: group | attribute | complex
attribute: WORD ":" value (OPERATOR value)* ";"?
complex: WORD "(" arguments ")" ";"
       | WORD "(" arguments ")"
arguments: (value ","?)*
?value: WORD | STRING
WORD: /[A-Za-z0-9_.+$%@-]+(\[[0-9:]+\])?/
STRING: /"[^"]*"/
OPERATOR: "*" | "/"
COMMENT: /\/\*[^*]*\*+(?:[^\/*][^*]*\*+)*\// | /\/\/[^\n]*/
%ignore /[ \t\r\n\\]+/
%ignore COMMENT
"""


@dataclass
class Group:
    """``name (arguments) { ... }``: simple attributes by name, lists in brackets by name, and groups within."""

    name: str
    arguments: list[str]
    attributes: dict[str, str] = field(default_factory=dict)
    lists: list[tuple[str, list[str]]] = field(default_factory=list)
    groups: list["Group"] = field(default_factory=list)

    def of(self, *names: str) -> Iterator["Group"]:
        """The groups within that have one of ``names``, in order."""
        return (group for group in self.groups if group.name in names)

    def numbers(self, name: str) -> list[list[float]] | None:
        """The first list of ``name``: the numbers of each of its strings; None where there is none."""
        for key, arguments in self.lists:
            if key == name:
                return [[float(word) for word in text.replace(",", " ").split()] for text in arguments]
        return None


class _Groups(Transformer[Token, Group]):
    """Builds groups while the text is parsed, without a tree between."""

    def start(self, parts: list[Group]) -> Group:
        return parts[0]

    def arguments(self, parts: list[Token]) -> list[str]:
        return [part.strip('"').replace("\\\n", " ").strip() for part in parts]

    def attribute(self, parts: list[Token]) -> tuple[str, str]:
        return str(parts[0]), " ".join(part.strip('"').replace("\\\n", " ").strip() for part in parts[1:])

    def complex(self, parts: list) -> tuple[str, list[str]]:
        return str(parts[0]), parts[1]

    def group(self, parts: list) -> Group:
        made = Group(str(parts[0]), parts[1])
        for part in parts[2:]:
            if isinstance(part, Group):
                made.groups.append(part)
            elif isinstance(part[1], str):
                made.attributes[part[0]] = part[1]
            else:
                made.lists.append(part)
        return made


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", transformer=_Groups(), maybe_placeholders=False)


def parse(path: Path, text: str) -> Group:
    """The library group of a Liberty file. Raises BadInput with the line of the first word that does not fit."""
    try:
        group = _parser().parse(text)
    except UnexpectedInput as error:
        if isinstance(error, UnexpectedCharacters):
            got = f"'{text[error.pos_in_stream or 0]}'"
        elif isinstance(error, UnexpectedToken) and error.token.type != "$END":
            got = f"'{error.token}'"
        else:
            got = "its end"
        raise BadInput(
            f"{path} is no Liberty file: line {error.line} does not parse at {got}; check --liberty"
        ) from None
    if not isinstance(group, Group) or group.name != "library":
        raise BadInput(f"{path} is no Liberty file: wanted library (name) {{ ... }} first; check --liberty")
    return group
