"""Opens `BACKEND/NAME?copies=8` and `ray/BACKEND/NAME?replicas=8&gpus=1`."""

from __future__ import annotations

import contextlib
import math
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from evalkit.copies.actor import ActorCopy, Resources
from evalkit.copies.child import ChildCopy
from evalkit.copies.model import Copies
from evalkit.copies.serving import Setup
from evalkit.errors import UsageError
from evalkit.models.opening import find_backend
from evalkit.models.options import read_options, take_options
from evalkit.models.registry import BACKENDS, Named
from evalkit.processes.ray_cluster import connect

_ALL = "all"


def open_copies(named: Named) -> Copies:
    """Starts as many processes on this machine as the option `copies` says. `typed` is without the option.

    The GPUs that this process may use are divided among the copies; copies beyond their number share them.
    Raises `UsageError`.
    """
    text, known = str(named.options["copies"]), gpus()
    if text == _ALL and not known:
        raise UsageError(f"{named.typed}: copies=all means one for each GPU, and there is no GPU: copies=2")
    if text == _ALL:
        count = len(known)
    elif not text.isdecimal() or not (count := int(text)):
        raise UsageError(f"{named.typed}: copies must be an integer of at least 1, or all, not {text!r}")
    each = max(1, len(known) // count)
    setup = _setup(named, named.typed)

    def launch(copy: int) -> ChildCopy:
        mine = [known[at % len(known)] for at in range(copy * each, (copy + 1) * each)] if known else []
        return ChildCopy(setup, mine, count)

    return Copies(count, launch, timeout=named.timeout, hinted=_is_fake(named.typed))


def open_ray(named: Named) -> Copies:
    """Starts actors on a Ray cluster. Those that Ray cannot place yet join when it can.

    Raises `UsageError`.
    """
    readers = BACKENDS["ray"].options
    spec, typed = take_options(named.name, readers)
    options: dict[str, Any] = {"replicas": 1, "gpus": 0.0, "cpus": 1.0}
    options |= read_options(f"ray/{spec}", typed, readers, "ray")
    backend = re.split("[/:]", spec)[0]
    if not find_backend(backend).copied:
        raise UsageError(
            f"ray/ starts models in processes of its own, and {backend}/ cannot run in one. An endpoint that "
            "several servers share is given as several --base-url"
        )
    for key, value in options.items():
        if not (value >= (key == "replicas") and math.isfinite(value)):
            raise UsageError(f"ray/{spec}: {key} must be at least {int(key == 'replicas')}, not {typed[key]}")
    resources = Resources(options["gpus"], options["cpus"])
    ray = connect(named.ray_address)
    setup = _setup(named, spec, hidden=not resources.gpus)

    def launch(copy: int) -> ActorCopy:
        return ActorCopy(ray, setup, resources)

    waits_for = f"waiting until Ray has {resources} free for a copy of {spec} (ray status shows what it has)"
    return Copies(
        options["replicas"], launch, timeout=named.timeout, hinted=_is_fake(spec), waits_for=waits_for
    )


def _setup(named: Named, spec: str, *, hidden: bool = False) -> Setup:
    return Setup(spec, named.base_url, named.timeout, str(Path.cwd()), hidden)


def _is_fake(spec: str) -> bool:
    return spec.startswith("fake/")


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; parts of one under MIG."""
    set_ = os.environ.get("CUDA_VISIBLE_DEVICES")
    if set_ is not None:
        return [one for one in set_.split(",") if one.strip() and one.strip() != "-1"]
    listed = ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
    return listed_gpus(listed)


def listed_gpus(listed: str) -> list[str]:
    """The GPUs of `nvidia-smi -L`: the number of each, or the names of its parts if it is divided (MIG)."""
    found: list[str] = []
    for gpu in re.split(r"^(?=GPU )", listed, flags=re.MULTILINE):
        if number_ := re.match(r"GPU (\d+):", gpu):
            found += re.findall(r"UUID: (MIG-[^)]+)\)", gpu) or [number_[1]]
    return found
