"""What the commands share: the group, how a command is registered, options that several take."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from hw.errors import BadInput
from hw.params import PRESETS

Results = Mapping[str, object]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="tilewatt")
def cli() -> None:
    """Generate a tile neural-network accelerator, run networks on it bit-exactly, report energy per increment."""


def command(function: Callable[..., Results]) -> click.Command:
    """Register ``function`` under its own name, with ``--json``, and print what it returns."""

    def show(as_json: bool, **options: object) -> None:
        results = function(**options)
        lines = [json.dumps(results, indent=2)] if as_json else [f"{name}: {value}" for name, value in results.items()]
        click.echo("\n".join(lines))

    show.__doc__ = function.__doc__
    show.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]  # click's own slot
    json_option = click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
    return cli.command(function.__name__.replace("_", "-"))(json_option(show))


def numbers(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """Read ``0.1,0.2,1``."""
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadInput(f"numbers with commas between are wanted, like 0.1,0.2,1, not {text!r}") from None


def names(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    """Read ``paper32,paper16``."""
    return tuple(part.strip() for part in text.split(","))


network_option = click.option("--network", default="lenet", show_default=True, help="Network.")
dataset_option = click.option("--dataset", default="mnist", show_default=True, help="Data set.")
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="TILEWATT_DATA",
    default="data",
    show_default=True,
    show_envvar=True,
    help="Folder of data sets.",
)
checkpoint_option = click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="Trained network.  [default: checkpoints/NETWORK-DATASET.npz]",
)
jobs_option = click.option(
    "--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Simulations at once."
)
presets_option = click.option("--presets", default="paper32,paper16", show_default=True, callback=names, help="Tiles.")
preset_option = click.option("--preset", default="paper32", show_default=True, help=f"Tile: {', '.join(PRESETS)}.")
