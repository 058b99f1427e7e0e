"""Programs that Debian has not, found or built by a script of ours."""

import os
import pathlib
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def obtained(variable, script):
    """What the environment variable names, or what scripts/`script` finds."""
    given = os.environ.get(variable)
    if given:
        return given
    found = subprocess.run(
        [REPOSITORY / "scripts" / script], check=True, stdout=subprocess.PIPE, text=True
    )
    return found.stdout.strip()
