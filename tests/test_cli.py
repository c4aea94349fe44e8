"""The command line: help, exit codes, and the one line a wrong input gets."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import tilewatt
from hw.errors import BadInput

COMMANDS = sorted(tilewatt.cli.commands)

LENET = str(Path("checkpoints/lenet-mnist.npz").resolve())


def test_there_are_commands() -> None:
    assert "verilog" in COMMANDS


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tilewatt.main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Usage: tilewatt")
    assert shown.err == ""
    if arguments == ["--help"]:
        assert all(f"\n  {name} " in shown.out for name in COMMANDS)
    else:
        assert "--json" in shown.out


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, tilewatt\n"
        "assert tilewatt.main(['--help']) == 0\n"
        "print({'amaranth', 'torch', 'numpy', 'cocotb', 'matplotlib', 'pydantic'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verilog", "--preset", "huge"], "preset wants one of paper32, paper16, small, odd, not 'huge'"),
        (["verilog", "--format", "wide"], "number format wants two integers like <32,16>, not 'wide'"),
        (["verilog", "--format", "40,16"], "number format wants a width of 4 to 32 bits, not 40"),
        (["verilog", "--format", "16,16"], "number format wants 0 to width-1 = 15 fraction bits, not 16"),
        (
            ["verilog", "--preset", "small", "--format", "32,16"],
            "accumulator_width of <32,16> with 4 synapses wants 64 to 64 bits, not 40",
        ),
        (["verilog", "--accumulator-width", "many"], "Invalid value for '--accumulator-width': 'many' is not a valid"),
        (["verilog", "--depth", "3"], "No such option '--depth'."),
        (["train", "--network", "vgg"], "network wants one of lenet, convnet, alexnet, not 'vgg'"),
        (["train", "--fractions", "a,b"], "numbers with commas between are wanted, like 0.1,0.2,1, not 'a,b'"),
        (["train", "--data", "none"], "mnist train images: none of train-images-idx3-ubyte"),
        (["cycles", "--networks", "vgg"], "network wants one of lenet, convnet, alexnet, not 'vgg'"),
        (["cycles", "--networks", "lenet,lenet"], "cycles wants each network once and at least one, not lenet, lenet"),
        (["cycles", "--presets", "huge"], "preset wants one of paper32, paper16, small, odd, not 'huge'"),
        (["cycles", "--presets", "small,small"], "cycles wants each tile once and at least one, not small, small"),
        (["cycles", "--fractions", "0.1,0.2"], "fractions want growing numbers above 0 that end at 1, like 0.1,0.2,1"),
        (["cycles", "--fractions", "some"], "numbers with commas between are wanted, like 0.1,0.2,1, not 'some'"),
        (["cycles", "--images", "0"], "Invalid value for '--images': 0 is not in the range x>=1."),
        (["accuracy", "--preset", "huge"], "preset wants one of paper32, paper16, small, odd, not 'huge'"),
        (["accuracy"], "checkpoints/lenet-mnist.npz: a checkpoint (.npz) is wanted, there is none"),
        (["accuracy", "--checkpoint", LENET, "--data", "none"], "mnist test images: none of t10k-images-idx3-ubyte"),
        (["paper", "--networks", "lenet,vgg"], "--networks wants some of lenet, convnet, alexnet, not vgg"),
        (
            ["paper", "--networks", "convnet"],
            "checkpoints/convnet-cifar10.npz: a checkpoint (.npz) is wanted, there is",
        ),
        (
            ["paper", "--images", "alexnet=1"],
            "--images wants a network of lenet, convnet, alexnet with a count of at least 2, like alexnet=2000, not",
        ),
        (
            ["paper", "--alone", "vgg=9"],
            "--alone wants a network of lenet, convnet, alexnet with a count of at least 2",
        ),
        (["fly"], "No such command 'fly'."),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tilewatt.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"tilewatt: error: {message}")
    assert shown.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flag",
    [
        [],
        ["--block-causal"],
        ["--method", "joint", "--epochs", "7", "--joint-epochs", "9"],
        ["--method", "joint", "--shared-classifier", "--epochs", "7", "--joint-epochs", "9"],
    ],
)
def test_train_passes_on_and_writes_down_its_options(
    flag: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("golden.train.train", lambda *_sources, **options: options)
    assert tilewatt.main(["train", "--json", "--fractions", "0.5,1", "--seed", "3", "--out", "a.npz", *flag]) == 0
    options = json.loads(capsys.readouterr().out)
    typed = " ".join(["--fractions 0.5,1", *flag, "--seed 3 --out a.npz"])
    assert options == {
        "network": "lenet",
        "fractions": [0.5, 1],
        "block_causal": flag == ["--block-causal"],
        "shared_classifier": "--shared-classifier" in flag,
        "method": "joint" if "joint" in flag else "chain",
        "epochs": 7 if "joint" in flag else None,
        "joint_epochs": 9 if "joint" in flag else None,
        "seed": 3,
        "command": f"tilewatt train --network lenet --dataset mnist {typed}",
    }


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (BadInput("x wants 1, not 2"), 2, "tilewatt: error: x wants 1, not 2\n"),
        (tilewatt.CheckFailed("word 3 is 7, not 8"), 1, "tilewatt: check failed: word 3 is 7, not 8\n"),
        (
            FileNotFoundError(2, "No such file or directory", "a.npz"),
            2,
            "tilewatt: error: a.npz: No such file or directory\n",
        ),
    ],
)
def test_exit_codes(
    error: Exception, code: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setitem(tilewatt.cli.commands, "fail", click.Command("fail", callback=fail))
    assert tilewatt.main(["fail"]) == code
    assert capsys.readouterr() == ("", line)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise KeyError("a bug, not the user's")

    monkeypatch.setitem(tilewatt.cli.commands, "fail", click.Command("fail", callback=fail))
    with pytest.raises(KeyError, match="a bug"):
        tilewatt.main(["fail"])


def test_no_arguments_show_help_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert tilewatt.main([]) == 2
    assert capsys.readouterr().err.startswith("Usage: tilewatt")


def test_installed_script_refuses_without_traceback(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("tilewatt")
    ended = subprocess.run([script, "verilog", "--preset", "huge"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "tilewatt: error: preset wants one of paper32, paper16, small, odd, not 'huge'\n"


def test_tools_names_the_simulator(capsys: pytest.CaptureFixture[str]) -> None:
    assert tilewatt.main(["tools", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["simulator"].startswith("Verilator 5.")
    assert Path(found["make"]).is_file()


def test_no_compiler_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert tilewatt.main(["tools"]) == 2
    assert capsys.readouterr().err == (
        "tilewatt: error: a C++ compiler is wanted to build simulations, "
        "none of c++, g++, clang++ is on PATH: install g++ or clang\n"
    )


def test_verilog_writes_the_design_and_its_sidecar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verilog", "--preset", "small", "--format", "12,6", "--accumulator-width", "32"]
    assert tilewatt.main([*arguments, "--out", str(tmp_path / "a"), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["preset"] == "small"
    assert Path(results["verilog"]) == tmp_path / "a" / "tile.v"
    assert Path(results["sidecar"]) == tmp_path / "a" / "tile.json"
    sidecar = json.loads((tmp_path / "a" / "tile.json").read_text())
    assert results["hash"] in json.dumps(sidecar)
    assert "<12,6>" in json.dumps(sidecar)
    assert tilewatt.main([*arguments, "--out", str(tmp_path / "b")]) == 0
    assert f"verilog: {tmp_path / 'b' / 'tile.v'}\n" in capsys.readouterr().out
    assert (tmp_path / "b" / "tile.v").read_bytes() == (tmp_path / "a" / "tile.v").read_bytes()
