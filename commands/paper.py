"""``tilewatt paper``: T16's evaluation on the tile."""

import dataclasses
from pathlib import Path

import click

from commands.shared import Results, command, data_option, jobs_option, names, preset_option
from hw.errors import BadInput, CheckFailed, write_atomic
from hw.params import preset as find_preset

NETWORKS = ("lenet", "convnet", "alexnet")
ALONE = 100


def counts(_context: click.Context, option: click.Parameter, text: str | None) -> dict[str, int]:
    """Read ``alexnet=2000,convnet=500``; at least 2."""
    found = {}
    for part in text.split(",") if text else []:
        name, _, count = part.partition("=")
        if name not in NETWORKS or not count.isdecimal() or int(count) < 2:
            known = ", ".join(NETWORKS)
            wanted = f"a network of {known} with a count of at least 2, like alexnet=2000"
            raise BadInput(f"{option.opts[0]} wants {wanted}, not {part!r}")
        found[name] = int(count)
    return found


@command
@click.option(
    "--networks", default=",".join(NETWORKS), show_default=True, callback=names, help="Of the paper, in its order."
)
@click.option("--train", is_flag=True, help="Train each network anew, as its checkpoint says it was, and take that.")
@data_option
@preset_option
@click.option("--profile", default="macro65", show_default=True, help="Technology profile of the energies.")
@click.option(
    "--images",
    callback=counts,
    metavar="NETWORK=COUNT,...",
    help="Of opportunistic runs on RTL, like alexnet=2000.  [default: the test set]",
)
@click.option(
    "--alone",
    callback=counts,
    metavar="NETWORK=COUNT,...",
    help=f"Images on every increment alone, like alexnet=20.  [default: {ALONE}]",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the simulations.")
@jobs_option
@click.option(
    "--out", type=click.Path(path_type=Path), default="build/paper", show_default=True, help="Where results are kept."
)
def paper(
    networks: tuple[str, ...],
    train: bool,
    data: Path,
    preset: str,
    profile: str,
    images: dict[str, int],
    alone: dict[str, int],
    seed: int,
    jobs: int,
    out: Path,
) -> Results:
    """Measure the tables and figures of T16's evaluation on RTL and write t16.json; an interrupted run goes on.

    Networks of an earlier t16.json that are not named stay in it, each with the command and commit that measured it.
    """
    if unknown := sorted(set(networks) - set(NETWORKS)):
        raise BadInput(f"--networks wants some of {', '.join(NETWORKS)}, not {', '.join(unknown)}")
    params = find_preset(preset).replace(activity=True)
    from commands.evaluation.network import Case, Evaluation
    from commands.evaluation.result import result
    from commands.evaluation.setup import Setup
    from cosim.measure import commit
    from cosim.runner import CosimFailed
    from synth.paper.files import kept_networks
    from synth.paper.schema import Paper
    from synth.technology import load_technology

    note = "CIFAR-10 (JPEG) stands in for SVHN, which no package registry holds"
    known = {
        "lenet": Case("lenet", "LeNet / MNIST", Path("checkpoints/lenet-mnist-four.npz"), 0.001),
        "convnet": Case("convnet", "ConvNet / CIFAR-10", Path("checkpoints/convnet-cifar10.npz"), 0.0096, note),
        "alexnet": Case("alexnet", "ALEXnet / CIFAR-10", Path("checkpoints/alexnet-cifar10.npz"), 0.0029),
    }
    technology = load_technology(profile)
    path, tile = out / "t16.json", {"tile": preset, "fmt": str(params.fmt), "profile": technology.name}
    others = {} if set(networks) == set(NETWORKS) else kept_networks(path, networks, **tile)
    if train:
        from commands.evaluation.retrain import retrain

        known = {
            name: dataclasses.replace(case, checkpoint=retrain(case.checkpoint, data, out / name / "trained.npz"))
            for name, case in known.items()
            if name in networks
        }
    line = f"tilewatt paper --networks {','.join(networks)} --preset {preset} --profile {profile}"
    for option, given in (("images", images), ("alone", alone)):
        line += f" --{option} {','.join(f'{name}={count}' for name, count in given.items())}" if given else ""
    line += f"{' --train' if train else ''} --seed {seed}"
    each = dict.fromkeys(NETWORKS, ALONE) | alone
    setup = Setup(params, technology, data, images, each, seed, jobs, out, line, commit())
    try:
        found = {name: result(Evaluation(known[name], setup)) for name in NETWORKS if name in networks}
    except CosimFailed as failure:
        raise CheckFailed(str(failure)) from None
    every = found | others
    content = Paper.model_validate(
        {
            "schema": 2,
            "tile": preset,
            "format": str(params.fmt),
            "profile": technology.name,
            "profile_title": technology.title,
            "node_nm": technology.node_nm,
            "networks": {name: every[name] for name in NETWORKS if name in every},
        }
    )
    write_atomic(path, content.model_dump_json(by_alias=True, indent=1) + "\n")
    return {"results": str(path), **{name: f"{one.opportunistic.saving_percent:.2f} %" for name, one in found.items()}}
