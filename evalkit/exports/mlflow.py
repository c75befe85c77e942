"""Logs runs to MLflow: one run of MLflow for each run file.

The server, and how to sign in there, are MLflow's own environment variables (MLFLOW_TRACKING_URI, …).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.exports.tracking import Tracked, package, project_of, refused, settings, tracked
from evalkit.runfile.store import Store

_METRICS, _PARAMS = 1000, 100
"""The most metrics, and parameters or tags, of one request (mlflow 3.17: utils/validation.py)."""
_LONGEST = 6000
"""The most characters of a parameter's value there."""
_NAME = re.compile(r"[^\w\-./ ]")
"""What MLflow accepts in no name of a metric or parameter."""
_BOUNDED = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""By default MLflow tries for minutes to reach a server that is not there."""


def export(stores: Sequence[Store], output: Path | None, project: str = "") -> Iterator[str]:
    """Logs each run, and yields a line for each. `project`: the experiment, which is made if there is none.

    Raises `UsageError` if the package is missing, or if the server is unreachable or refuses the run.
    """
    if output is not None:
        raise UsageError("--format mlflow writes no file: leave -o out, and set MLFLOW_TRACKING_URI")
    with settings(MLFLOW_DISABLE_TELEMETRY="true", **_BOUNDED):
        package("mlflow")
        tracking = package("mlflow.tracking")
        fix = "is the server at MLFLOW_TRACKING_URI running, and may you write there?"
        with refused("MLflow", fix):
            client = tracking.MlflowClient()
            name = project_of(project, "MLFLOW_EXPERIMENT_NAME")
            found = client.get_experiment_by_name(name)
            experiment = client.create_experiment(name) if found is None else found.experiment_id
        for store in stores:
            run = tracked(store)
            with refused("MLflow", fix):
                key = _log(client, experiment, run)
            yield f"MLflow, experiment {name}: run {key}"


def _log(client: Any, experiment: str, run: Tracked) -> str:
    """Logs one run and returns its id. A run that could not be logged whole is marked as failed."""
    entities = package("mlflow.entities")
    at = int(1000 * run.began)
    made = client.create_run(experiment, start_time=at, tags=dict(run.tags), run_name=run.name[:250])
    key = str(made.info.run_id)
    try:
        metrics = [entities.Metric(_NAME.sub("_", name), value, at, 0) for name, value in run.metrics.items()]
        params = [
            entities.Param(_NAME.sub("_", name), str(value)[:_LONGEST]) for name, value in run.params.items()
        ]
        for start in range(0, len(metrics), _METRICS):
            client.log_batch(key, metrics=metrics[start : start + _METRICS])
        for start in range(0, len(params), _PARAMS):
            client.log_batch(key, params=params[start : start + _PARAMS])
        for name, text in run.files.items():
            client.log_text(key, text, name)
    except BaseException:
        client.set_terminated(key, "FAILED")
        raise
    client.set_terminated(key)
    return key
