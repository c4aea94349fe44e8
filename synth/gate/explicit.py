"""Default power groups of a Liberty file, given the condition under which they hold.

Among the internal_power groups of one pin and cause, one without ``when`` holds where no other one's condition does.
OpenSTA adds it in every state, so that a flip-flop's clock pin is charged twice; with the condition written out, both
readings are the same.
"""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"/\*.*?\*/|//[^\n]*"
    r'|\b(?P<key>when|related_pin|related_pg_pin)\s*:\s*"(?P<value>[^"]*)"'
    r'|"[^"]*"'
    r"|\b(?P<group>\w+)\s*\([^()]*\)\s*\{"
    r"|(?P<end>\})",
    re.DOTALL,
)


@dataclass
class _Group:
    """An open group: where its body begins, its attributes that matter, the power groups within."""

    name: str
    body: int
    attributes: dict[str, str] = field(default_factory=dict)
    powers: list["_Group"] = field(default_factory=list)


def _defaults(powers: list[_Group]) -> list[tuple[int, str]]:
    """Place and text of the conditions that a pin's power groups lack."""
    alike: dict[tuple[str, str], list[_Group]] = {}
    for power in powers:
        cause = (power.attributes.get("related_pin", ""), power.attributes.get("related_pg_pin", ""))
        alike.setdefault(cause, []).append(power)
    found = []
    for group in alike.values():
        conditions = [power.attributes["when"] for power in group if "when" in power.attributes]
        if conditions:
            text = f'\n when : "!({" | ".join(f"({condition})" for condition in conditions)})";'
            found += [(power.body, text) for power in group if "when" not in power.attributes]
    return found


def explicit_defaults(text: str) -> str:
    """The Liberty text with those conditions put in; all else is as it was."""
    opened: list[_Group] = []
    added: list[tuple[int, str]] = []
    for token in _TOKEN.finditer(text):
        if token["group"]:
            opened.append(_Group(token["group"], token.end()))
        elif token["key"] and opened:
            opened[-1].attributes[token["key"]] = token["value"]
        elif token["end"] and opened:
            closed = opened.pop()
            if closed.name == "internal_power" and opened:
                opened[-1].powers.append(closed)
            added += _defaults(closed.powers)
    parts, last = [], 0
    for place, condition in sorted(added):
        parts += [text[last:place], condition]
        last = place
    return "".join([*parts, text[last:]])
