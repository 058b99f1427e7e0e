"""The daemon of build/laboratory, which dies at chosen moments (fail_point.hpp)."""

import os
import re
import signal

from harness.programs import REPOSITORY

_HEADER = REPOSITORY / "include" / "m2b" / "util" / "fail_point.hpp"
_PAGE = 4096
_MAGIC_AT = 16  # in a meta page of LMDB


def points_in_the_header():
    table = re.search(r"kFailPoints.*?\{(.*?)\}\);", _HEADER.read_text(), re.DOTALL).group(1)
    return re.findall(r'"([a-z_.]+)"', table)


def arm(bridge, point, passage):
    bridge.settings["M2B_FAIL_POINT"] = f"{point}:{passage}"


def wait_for_death(bridge):
    code = bridge.wait_for_exit(20)
    bridge.settings.pop("M2B_FAIL_POINT", None)
    assert code == -signal.SIGKILL, f"ended with {code}:\n{bridge.tail()}"


def die_at(bridge, point, passage):
    arm(bridge, point, passage)
    bridge.launch()
    wait_for_death(bridge)


def damage_a_meta_page(file):
    """That of the odd commits: sometimes the newest one, whose way to the data is lost then."""
    with open(file, "r+b") as data:
        data.seek(_PAGE + _MAGIC_AT)
        byte = data.read(1)[0]
        data.seek(_PAGE + _MAGIC_AT)
        data.write(bytes([byte ^ 1]))
        data.flush()
        os.fsync(data.fileno())  # or a power cut would mend it
