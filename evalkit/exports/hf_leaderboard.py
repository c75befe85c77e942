"""Writes runs as the metadata of a model card: `model-index`, with one entry for each benchmark.

The format is the Hub's (github.com/huggingface/hub-docs, modelcard.md; huggingface_hub's `EvalResult`). It
has no field for an interval, and `verified` is the Hub's own. The interval and what is incomplete are
therefore in the metric's name, which the model's page shows, and as numbers in the metric's `args`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import evalkit
from evalkit.errors import UsageError, counted
from evalkit.exports.read import Benchmark, Figure, benchmarks
from evalkit.runfile.store import Store
from evalkit.samples import JSON

_METRICS = {
    "accuracy": "accuracy",
    "bleu": "bleu",
    "chrf": "chrf",
    "error_rate": "wer",
    "pass_at_k": "pass@k",
    "perplexity": "perplexity",
}
"""The Hub's metrics by evalkit's kinds; for others the type is evalkit's name."""
_TASKS = {"image": "image-text-to-text", "audio": "audio-text-to-text", "video": "video-text-to-text"}
"""The Hub's tasks by the kind of a sample's first file."""
_ON_HUB = ("hub", "folder")
"""Kinds of data whose name is a data set's id on the Hub, if it has an owner."""


def to_model_index(stores: Sequence[Store]) -> bytes:
    """Returns the YAML of `model-index`. Raises `UsageError` if the runs are of several models."""
    import yaml
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found = [benchmark for store in stores for benchmark in benchmarks(store)]
    models = list(dict.fromkeys(benchmark.model for benchmark in found))
    if len(models) > 1:
        raise UsageError(
            f"a model card is of one model, but the runs are of {', '.join(models)}: write a file for each"
        )
    results: list[JSON] = []
    for benchmark in found:
        common = _common(benchmark)
        flat = [EvalResult(**common, **one) for one in _metrics(benchmark)]
        if flat:
            (index,) = eval_results_to_model_index(models[0], flat)
            results += index["results"]
    if not results:
        raise UsageError("the runs have no figure yet: finish them first")
    card = {"model-index": [{"name": models[0], "results": results}]}
    text: str = yaml.safe_dump(card, sort_keys=False, allow_unicode=True)
    return text.encode()


def _common(benchmark: Benchmark) -> dict[str, Any]:
    """Returns the task and the data set. Data that is not the Hub's is never named as if it were."""
    spec = benchmark.cell.spec
    data: Mapping[str, str] = spec.data
    hub = data.get("kind") in _ON_HUB and "/" in data.get("name", "")
    name = spec.task
    if data.get("kind") == "small sets":
        name = f"{spec.task} (evalkit's own small set, for trying it out)"
    revision = data.get("revision") or ""
    return {
        "task_type": _task(benchmark),
        "dataset_name": name,
        "dataset_type": data["name"] if hub else f"evalkit-{spec.task}",
        "dataset_config": data.get("config") or None if hub else None,
        "dataset_split": data.get("split") or None,
        "dataset_revision": revision if hub and revision else None,
        "dataset_args": {"num_few_shot": spec.protocol.shots},
    }


def _task(benchmark: Benchmark) -> str:
    """Returns the Hub's name of the kind of task, as far as the run shows it."""
    if benchmark.cell.spec.protocol.api == "transcription":
        return "automatic-speech-recognition"
    keys = benchmark.store.connection.execute(
        "SELECT json_extract(media, '$[0]') FROM sample WHERE cell = ? AND media != '[]' LIMIT 1",
        (benchmark.cell.id,),
    ).fetchone()
    kind = benchmark.store.mime(keys[0]).partition("/")[0] if keys else ""
    return _TASKS.get(kind, "text-generation")


def _metrics(benchmark: Benchmark) -> Iterator[dict[str, Any]]:
    for figure in benchmark.figures:
        cell = figure.cell
        if cell.value is not None:
            args = {
                "low": _rounded(cell.low),
                "high": _rounded(cell.high),
                "confidence": 0.95,
                "n": cell.n,
                "unit": cell.unit or None,
                "protocol": cell.protocol,
                "evalkit": evalkit.__version__,
                "signature": cell.signature.line(),
            }
            yield {
                "metric_type": _METRICS.get(cell.measured.innermost[0], figure.name),
                "metric_value": _rounded(cell.value),
                "metric_name": _name(figure),
                "metric_args": {name: value for name, value in args.items() if value is not None},
            }


def _name(figure: Figure) -> str:
    """Returns such as `accuracy, 8-shot-cot (95 % interval 48.1–58.2, n = 1,319)`."""
    cell = figure.cell
    known = [f"n = {cell.n_text}"]
    if cell.low is not None and cell.high is not None:
        known.insert(0, f"95 % interval {_short(cell.low)}–{_short(cell.high)}")
    known += filter(None, (cell.completeness.lacking,))
    if failed := cell.outcomes["failed"]:
        count = counted(failed, "sample failed and is", "samples failed and are")
        known.append(f"{count} not in the value")
    return f"{cell.metric}, {cell.protocol} ({', '.join(known)})"


def _short(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.3g}"


def _rounded(value: float | None) -> float | None:
    """Returns a figure with the digits that a card needs, rather than those of a floating-point number."""
    return None if value is None else round(value, 4)
