"""The programs that the cases of side-by-side use: built once, in the `release` profile, whatever is measured."""

import functools
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@functools.cache
def built(name, variable):
    """The path of a program of the package sluice-tests; or what an environment variable names."""
    given = os.environ.get(variable)
    if given:
        return given
    command = ["cargo", "build", "--release", "--package", "sluice-tests", "--bin", name, "--locked"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    return str(pathlib.Path(target) / "release" / name)
