"""Logs runs to Weights & Biases: one run there for each run file.

The server, the key, the entity and the mode are W&B's own environment variables (WANDB_MODE=offline, …).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.exports.tracking import Tracked, package, project_of, refused, settings, tracked
from evalkit.runfile.store import Store

_SECONDS = 30
"""How long to wait for the server."""


def export(stores: Sequence[Store], output: Path | None, project: str = "") -> Iterator[str]:
    """Logs each run, and yields a line for each.

    Raises `UsageError` if the package is missing, or if the server is unreachable or refuses the run.
    """
    if output is not None:
        raise UsageError(
            "--format wandb writes no file: leave -o out, and set WANDB_MODE=offline for a folder"
        )
    with settings(WANDB_ERROR_REPORTING="false"):
        wandb = package("wandb")
        fix = "wandb login signs in, and WANDB_MODE=offline needs no server"
        name = project_of(project, "WANDB_PROJECT")
        for store in stores:
            run = tracked(store)
            with refused("W&B", fix):
                where = _log(wandb, name, run)
            yield f"W&B, project {name}: run {where}"


def _log(wandb: Any, project: str, run: Tracked) -> str:
    """Logs one run and returns its address, or the folder of an offline run.

    Nothing of the machine, of this process or of a Git repository around it is logged.
    """
    logged = wandb.init(
        project=project,
        name=run.name[:128],
        config=dict(run.params),
        tags=[f"evalkit {run.tags['evalkit']}"],
        reinit="create_new",
        settings=wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            init_timeout=_SECONDS,
            login_timeout=_SECONDS,
            silent=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        ),
    )
    try:
        columns = list(run.rows[0])
        table = wandb.Table(columns=columns, data=[[row[name] for name in columns] for row in run.rows])
        logged.log({**run.metrics, "table": table})
        artifact = wandb.Artifact(f"evalkit-{logged.id}", type="evaluation")
        for name, text in run.files.items():
            with artifact.new_file(name, mode="w", encoding="utf-8") as file:
                file.write(text)
        logged.log_artifact(artifact)
    except BaseException:
        logged.finish(exit_code=1)
        raise
    where = Path(logged.dir).parent if logged.offline else logged.url
    logged.finish()
    return str(where)
