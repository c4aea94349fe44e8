"""What holds for every test: one torch thread per worker, one seed, and a skipped test is a failed one."""

import os
from collections.abc import Generator

import pytest

# Two pytest workers share two cores; read by torch and NumPy when they are first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Give every test, and the fixtures it is the first to ask for, the same random weights on every run."""
    import torch  # after OMP_NUM_THREADS, which it reads once

    torch.manual_seed(1)


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure: it would hide a missing part behind a green run."""
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"a skip is a failure in this project: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report
