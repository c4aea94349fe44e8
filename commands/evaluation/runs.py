"""Runs on the simulated tile in parts of some hundred images, each kept when it is done."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from commands.evaluation.setup import Setup, kept, sha256
from cosim.job import Outcome
from cosim.measure import MEMORY_BEATS
from cosim.prepare import prepare
from cosim.simulate import simulate, tile_build
from golden.mapping.mapped import Mapped
from golden.mapping.mapper import map_network
from golden.network import Network
from golden.verify import verify
from hw.errors import CheckFailed

PART = 500  # images


def mapping(
    setup: Setup, networks: Sequence[Network], folder: Path, key: Mapping[str, object], reuse: str | None = None
) -> Mapped:
    """The mapping of ``networks``, kept in ``folder``: searching its plans takes minutes. key: of the networks."""

    def make() -> None:
        found = map_network(networks, setup.params, reuse=reuse)
        verify(found)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mapped.pickle").write_bytes(pickle.dumps(found))

    wanted = {**key, "tile": setup.params.hash, "reuse": reuse, "sources": setup.sources}
    found = pickle.loads((kept(folder, wanted, make) / "mapped.pickle").read_bytes())
    assert isinstance(found, Mapped)
    return found


def run(
    setup: Setup,
    mapped: Mapped,
    codes: Tensor,
    folder: Path,
    text: str,
    *,
    increment: int | None = None,
    thresholds: Sequence[int] = (),
    softmax: bool = False,
) -> Outcome:
    """All images on one increment, or opportunistically; RTL equals golden or CheckFailed.

    A part is kept under the content of the tile's Verilog, of the DRAM image and of the images.
    """
    size = min(PART, len(codes))
    beats = mapped.image_address + size * (mapped.image_beats + mapped.result_beats)
    program = sha256(mapped.image)
    done = []
    for first in range(0, len(codes), PART):
        part = codes[first : first + PART]
        into = folder / f"{first:05d}"

        def make(part: Tensor = part, into: Path = into, first: int = first) -> None:
            job = prepare(mapped, part, increment=increment, thresholds=thresholds, softmax=softmax)
            build = tile_build(setup.params, max(MEMORY_BEATS, beats))
            shown = f"{text}, images {first} to {first + len(part) - 1}"
            outcome = simulate(build, job, into / "runs", seed=setup.seed, jobs=setup.jobs, progress=shown)
            if outcome.mismatches:
                raise CheckFailed(
                    f"{outcome.mismatches} words, stops or counts differ between RTL and golden; see {into}"
                )
            outcome.save(into / "outcome.npz")

        asked = {"increment": increment, "thresholds": list(thresholds), "softmax": softmax, "seed": setup.seed}
        content = {"verilog": setup.verilog, "program": program, "images": sha256(part.numpy().tobytes())}
        done.append(Outcome.load(kept(into, {**asked, **content}, make) / "outcome.npz"))
    return Outcome.join(done)
