"""Logs runs to Trackio: one run there for each run file.

The folder, the Space or the server are set by Trackio's own environment variables, such as TRACKIO_DIR.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.exports.tracking import Tracked, package, project_of, refused, tracked
from evalkit.runfile.store import Store
from evalkit.scratch import Scratch


def export(stores: Sequence[Store], output: Path | None, project: str = "") -> Iterator[str]:
    """Logs each run, and yields a line for each.

    Raises `UsageError` if the package is missing, or if Trackio refuses the run.
    """
    if output is not None:
        raise UsageError("--format trackio writes no file: leave -o out, and set TRACKIO_DIR for a folder")
    trackio = package("trackio")
    name = project_of(project, "TRACKIO_PROJECT")
    for store in stores:
        run = tracked(store)
        with refused("Trackio", "trackio show lists the runs that it has"):
            logged = _log(trackio, name, run)
        yield f"Trackio, project {name}: run {logged}"


def _log(trackio: Any, project: str, run: Tracked) -> str:
    """Logs one run and returns its name."""
    config = {**run.params, **run.tags}
    logged = trackio.init(project=project, config=config, embed=False, auto_log_cpu=False, auto_log_gpu=False)
    try:
        logged.log({**run.metrics, "table": trackio.Table(data=run.rows)})
        artifact = trackio.Artifact(f"evalkit-{logged.name}", type="evaluation")
        with Scratch() as folder:
            for name, text in run.files.items():
                path = Path(folder, name)
                path.write_text(text, "utf-8")
                artifact.add_file(str(path), name=name)
            logged.log_artifact(artifact)
    finally:
        trackio.finish()
    return str(logged.name)
