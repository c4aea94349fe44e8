"""docs/results/t16.md: T16's tables and figures, ours beside the paper's; ``python -m synth.paper.page`` writes it."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from hw.errors import BadInput, write_atomic
from synth.paper import reasons, tables
from synth.paper.claims import claims
from synth.paper.figures import draw, pictures
from synth.paper.files import plans_of, read_paper
from synth.paper.schema import Origin, Paper
from synth.paper.text import listed, table
from synth.plan_files import read_plan
from synth.plan_plot import picture

ROOT = Path(__file__).parent.parent.parent
JSON = ROOT / "docs" / "results" / "t16.json"
PAGE = ROOT / "docs" / "results" / "t16.md"
IMAGES = ROOT / "docs" / "img"

Part = Callable[[Paper], str]


def _measured(origin: Origin, titles: list[str]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items()))
    return (
        f"{listed(titles)}:\n\n    {origin.command}\n\n"
        f"at commit `{origin.commit[:12]}`, seed {origin.seed}; {versions}.\n"
    )


def _head(paper: Paper) -> str:
    together: list[tuple[Origin, list[str]]] = []
    for network in paper.networks.values():
        before = [titles for origin, titles in together if origin == network.origin]
        if before:
            before[0].append(network.title)
        else:
            together.append((network.origin, [network.title]))
    measured = "\n".join(_measured(*one) for one in together)
    return f"""\
# T16's evaluation, measured on RTL

Every table and figure of section 5 of Tann et al. 2016 (T16), ours beside the paper's. Energies are means of an image,
on tile `{paper.tile}`, `{paper.format}`, by the profile `{paper.profile}` ({paper.profile_title}, {paper.node_nm} nm).
On chip is T16's measure, "with DRAM" adds the DRAM's; intervals are 99 %. What T16 prints is in columns that say so
(`synth/paper/printed.py`); a dash: nothing there. `python -m synth.paper.page` writes this page from `t16.json`, which
holds each network with the command that measured it:

{measured}"""


def _claims(paper: Paper) -> str:
    found = claims(paper)
    asked = [claim for claim in found if claim.kept is not None]
    kept = sum(bool(claim.kept) for claim in asked)
    lines = table("claim | paper | ours | kept", [claim.cells for claim in found])
    return f"{kept} of {len(asked)} kept; a dash: stated, not asked for.\n\n{lines}"


TABLES: dict[str, tuple[Part, str, Part]] = {
    "Table 4: time and energy of every increment": (
        tables.table_4,
        "Energy is power x time, so the ratio to T16's is that of both. T16 does not print Table 4's fractions; these "
        "are those that its times fit:",
        reasons.time_and_power,
    ),
    "Table 6: additional storage": (
        tables.table_6,
        "Bytes of weights and biases as they lie in the DRAM image. T16 does not print for which increments "
        "its numbers are:",
        reasons.storage,
    ),
    "Table 7: increments and thresholds of the opportunistic run": (
        tables.table_7,
        "Chosen on held-out images before the test set was seen. T16 chose by saving x accuracy on images cut out of "
        "the test set; ours by the saving under a limit of the drop ([planner.md](../planner.md)):",
        reasons.plans,
    ),
    "Table 8: accuracy and energy of its increments": (
        tables.table_8,
        "Accuracies of all test images. T16's energies fit other fractions than it prints (Table 4):",
        reasons.accuracies,
    ),
    "Table 9: saving and drop of the opportunistic run": (
        tables.table_9,
        "The saving is against the full network alone. The drop is stated twice: against the same network's last "
        "increment, T16's measure, and against the golden model of all channels:",
        reasons.savings,
    ),
}


def _big_little(paper: Paper) -> str:
    return (
        "## Big/Little on the same tile\n\nTwo golden models, the big one where the little one's margin is below the "
        "threshold (Park et al.; T16 gives its storage only):\n\n"
        + f"{tables.big_little(paper)}\n{reasons.rivals(paper)}"
    )


def _image(name: str, images: str, what: str) -> str:
    return f"![{what}]({images}/{name})\n"


def _figures(paper: Paper, images: str, margins: Mapping[str, str]) -> list[str]:
    """A section per figure; one without numbers says so."""
    drawn = pictures(paper)

    def shown(what: str, names: list[str], said: str) -> str:
        body = "".join(_image(name, images, what) for name in names if name in drawn) or "Not measured.\n"
        return f"## {what}\n\n{body}\n{said}".rstrip("\n") + "\n"

    what = "Figure 7: score margins of right and of wrong decisions"
    plans = "".join(
        f"{paper.networks[name].title}:\n\n{_image(file, images, what)}\n" for name, file in margins.items()
    )
    without = [network.title for name, network in paper.networks.items() if name not in margins]
    if without:
        plans += f"No plan's picture: {', '.join(without)}.\n"
    return [
        shown(
            "Figure 6: golden models, accuracy over run time",
            ["t16-fig6.png"],
            "Run time: cycles of the increment with the same channels. T16's points: Table 8 over the times of Table "
            f"4, where the data set is the same.\n\n{reasons.golden_models(paper)}",
        ),
        f"## {what}\n\n{plans}".rstrip("\n") + "\n",
        shown(
            "Figure 9: increments, golden models and channel shutdown",
            ["t16-fig9.png"],
            f"T16 shows ALEXnet on validation images; ours are test images.\n\n{reasons.shutdown(paper)}",
        ),
        shown(
            "Figure 10: test accuracy of the increments over run time",
            ["t16-fig10.png"],
            reasons.four_increments(paper),
        ),
        shown(
            "Figure 11: the budget run",
            [f"t16-fig11-{name}.png" for name in paper.networks],
            "T16 shows an energy budget on MNIST and prints no numbers. The promise and its exceptions: "
            f"[budget.md](../budget.md).\n\n{reasons.budgets(paper)}",
        ),
        shown(
            "Saving against drop",
            ["t16-saving.png"],
            "Up and to the left is better. Arrows go from T16's Table 9 to ours.\n",
        ),
    ]


def _sources(paper: Paper) -> str:
    rows = [
        (network.title, f"`{network.checkpoint}`", f"`{network.checkpoint_sha256[:16]}`")
        for network in paper.networks.values()
    ]
    return "## Checkpoints\n\n" + table("network | file | SHA-256", rows)


def page(paper: Paper, images: str, margins: Mapping[str, str]) -> str:
    """The page's text. images: folder of pictures, seen from the page; margins: those of Figure 7, by network."""
    parts = [_head(paper), f"## Not comparable\n\n{reasons.not_comparable(paper)}", f"## Claims\n\n{_claims(paper)}"]
    for title, (made, said, why) in TABLES.items():
        parts.append(f"## {title}\n\n{made(paper)}\n{said}\n\n{why(paper)}")
    return "\n".join([*parts, _big_little(paper), *_figures(paper, images, margins), _sources(paper)])


def text_of(json: Path = JSON, out: Path = PAGE, images: Path = IMAGES) -> str:
    """Text of the page ``out`` of the results ``json``; plans are looked for beside ``json``."""
    paper = read_paper(json)
    margins = {name: f"{plan.stem}.png" for name, plan in plans_of(paper, json.parent).items()}
    return page(paper, Path(os.path.relpath(images, out.parent)).as_posix(), margins)


def write_page(json: Path = JSON, out: Path = PAGE, images: Path = IMAGES) -> list[Path]:
    """Write the pictures, those of the plans too, and, last, the page; returns their paths."""
    paper = read_paper(json)
    plans = plans_of(paper, json.parent).values()
    made = [*draw(paper, images), *(picture(read_plan(plan), images / f"{plan.stem}.png") for plan in plans)]
    return [*made, write_atomic(out, text_of(json, out, images))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m synth.paper.page", description=__doc__)
    parser.add_argument("--json", type=Path, default=JSON, help="results of `tilewatt paper`")
    parser.add_argument("--out", type=Path, default=PAGE, help="page")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of the pictures")
    options = parser.parse_args()
    try:
        made = write_page(options.json, options.out, options.images)
    except BadInput as error:
        parser.error(str(error))
    print("\n".join(map(str, made)))


if __name__ == "__main__":
    main()
