"""The laboratory: each test is a fault, run a few times here and often by scripts/torture."""

import json
import random
import subprocess

import pytest
from harness.laboratory import Laboratory
from harness.programs import REPOSITORY

pytest_plugins = ["harness.fixtures"]

_SEED = 20261125


def pytest_addoption(parser):
    group = parser.getgroup("laboratory")
    group.addoption("--campaign", action="store_true", help="the long runs of scripts/torture")
    group.addoption("--seed", type=int, default=_SEED, help=f"of all dice (default {_SEED})")
    group.addoption("--share", type=int, default=100, help="of a campaign's rounds, in percent")
    group.addoption("--hours", type=float, default=1.0, help="length of the soak in a campaign")
    group.addoption(
        "--group-commit", choices=["True", "False"], help="of all bridges (default: by the dice)"
    )
    group.addoption("--results", metavar="FILE", help="appends each case's row as a line of JSON")


def pytest_report_header(config):
    return f"seed: {config.getoption('seed')}"


@pytest.fixture
def lab(request, new_stack):
    """Dice, rounds and the judge's verdict for one case. Time limits do not hold in a campaign."""
    options = request.config.option
    laboratory = Laboratory(
        case=request.node.nodeid,
        new_stack=new_stack,
        dice=random.Random(f"{options.seed}/{request.node.nodeid}"),
        campaign=options.campaign,
        share=options.share,
        group_commit=options.group_commit,
    )
    yield laboratory
    if options.results:
        run = {"seed": options.seed, "share": options.share, "commit": _commit()}
        with open(options.results, "a") as file:
            for row in laboratory.rows:
                file.write(json.dumps(row | run) + "\n")


def _commit():
    described = subprocess.run(
        ["git", "-C", REPOSITORY, "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    return described.stdout.strip() or "unknown"
