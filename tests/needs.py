"""What a test needs of the machine beyond what pip installs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import playwright
import pytest


def needs(package: str, *programs: str) -> pytest.MarkDecorator:
    """Skips a test where none of `programs` is there, and says which of Debian's packages has them."""
    there = any(shutil.which(program) for program in programs)
    return pytest.mark.skipif(not there, reason=f"there is no {programs[0]}: apt-get install {package}")


chromium = needs("chromium", "chromium", "chromium-browser")
compiler = needs("g++", "g++")
tex = needs("texlive-latex-base texlive-latex-recommended texlive-pictures", "pdflatex")
unshare = needs("util-linux", "unshare")


def tex_has(*files: str) -> bool:
    """Whether TeX finds these files of its packages."""
    if not shutil.which("kpsewhich"):
        return False
    found = subprocess.run(["kpsewhich", *files], capture_output=True, text=True, check=False)
    return len(found.stdout.split()) == len(files)


def with_node() -> dict[str, str]:
    """The environment, with Playwright's Node at the end of the path, so that none must be installed."""
    driver = Path(playwright.__file__).parent / "driver"
    return {**os.environ, "PATH": f"{os.environ['PATH']}{os.pathsep}{driver}"}
