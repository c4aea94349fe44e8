"""The text of a technology file from its entries."""

from dataclasses import dataclass

from synth.tech_dram import DEVICE, dram
from synth.tech_tables import Entry

HEAD = "# Built by `python -m synth.tech_build` from synth/tech/data; edit those, not this."


@dataclass(frozen=True)
class Profile:
    """What stands at the top of a technology file."""

    name: str
    profile: str
    title: str
    node_nm: int
    voltage_v: float
    levels: tuple[str, ...]
    not_covered: tuple[str, ...]


@dataclass(frozen=True)
class Format:
    """Prices of one number format, and event or rate -> (reason, level) of what costs nothing."""

    prices: dict[str, Entry]
    free: dict[str, tuple[str, str]]


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _entry_lines(entry: Entry, place: str) -> list[str]:
    lines = [f"{name} = {float(f'{getattr(entry, name):.6g}')!r}" for name in ("value", "low", "high")]
    lines += [place, f"voltage_v = {entry.voltage_v!r}"]
    if entry.component:
        lines.append(f"component = {_quote(entry.component)}")
    if entry.level != "both":
        lines.append(f"level = {_quote(entry.level)}")
    return [*lines, f"source = {_quote(entry.source)}", ""]


def document(profile: Profile, formats: dict[str, Format]) -> str:
    """The whole file: ``profile``, the prices of each number format, the DRAM."""
    lines = [
        HEAD,
        "schema = 1",
        f"name = {_quote(profile.name)}",
        f"profile = {_quote(profile.profile)}",
        f"title = {_quote(profile.title)}",
        f"node_nm = {profile.node_nm}",
        f"voltage_v = {profile.voltage_v!r}",
        f"levels = [{', '.join(_quote(level) for level in profile.levels)}]",
        "not_covered = [",
        *(f"  {_quote(text)}," for text in profile.not_covered),
        "]",
        "",
    ]
    for fmt, content in formats.items():
        for key, entry in content.prices.items():
            lines += [f'[formats."{fmt}".prices.{key}]', *_entry_lines(entry, f"node_nm = {profile.node_nm}")]
        for key, (reason, level) in content.free.items():
            lines += [f'[formats."{fmt}".free.{key}]', f"reason = {_quote(reason)}", f"level = {_quote(level)}", ""]
    for key, entry in dram().items():
        lines += [f"[dram.{key}]", *_entry_lines(entry, f"device = {_quote(DEVICE)}")]
    return "\n".join(lines)
