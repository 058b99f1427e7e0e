"""Folders that are removed while the next tests run."""

import subprocess

_removals = []


def remove_behind(folder):
    """Does not wait: on a busy disk ten thousand files take a while."""
    _removals.append(subprocess.Popen(["rm", "-rf", str(folder)]))


def wait_until_removed():
    for removal in _removals:
        removal.wait()
