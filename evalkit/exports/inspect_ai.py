"""Writes logs of Inspect, one for each benchmark: `.eval` archives, or a `.json` file.

The format is version 2 of Inspect's logs (inspect_ai 0.3.285: log/_log.py, log/_recorders/eval.py, json.py).
Each of evalkit's figures is a scorer. A sample that failed has an error and no score.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

import evalkit
from evalkit.errors import UsageError
from evalkit.exports.files import new_file, write_new
from evalkit.exports.inspect_messages import Conversation, conversation
from evalkit.exports.read import (
    Benchmark,
    Figure,
    benchmarks,
    file_name,
    finals,
    origin,
    settings_of,
    started,
    written,
)
from evalkit.runfile.sample_records import SampleRecord
from evalkit.runfile.store import Store
from evalkit.samples import JSON

VERSION = 2
"""The version of the log's schema (log/_log.py: LOG_SCHEMA_VERSION)."""
_ENDINGS = (".eval", ".json")
_SHORT = 1000
"""Maximum number of characters of a text in the summaries, which the viewer lists (log/_util.py)."""


def export(stores: Sequence[Store], output: Path | None) -> Iterator[str]:
    """Writes a log for each benchmark of each run, and yields their paths.

    `output`: a folder, or for a single benchmark a file that ends in .eval or .json. Raises `UsageError` if a
    file is there already, and for slim run files.
    """
    if output is None:
        raise UsageError("--format inspect writes a log for each benchmark: name a folder with -o")
    for store in stores:
        store.needs_texts("a log of Inspect")
    found = [benchmark for store in stores for benchmark in benchmarks(store)]
    if output.suffix in _ENDINGS and len(found) > 1:
        raise UsageError(
            f"{output} is one log, but the runs have {len(found)} benchmarks, and Inspect has a log for "
            "each: name a folder with -o"
        )
    for benchmark in found:
        path = output if output.suffix in _ENDINGS else output / _log_name(benchmark)
        write = _write_json if path.suffix == ".json" else _write_archive
        write(path, benchmark)
        yield str(path)


def _log_name(benchmark: Benchmark) -> str:
    """Returns a name as Inspect gives it: TIME_TASK_ID.eval."""
    time = started(benchmark.store).isoformat(timespec="seconds").replace(":", "-")
    return f"{time}_{file_name(benchmark.name).replace('_', '-')}_{_id(benchmark, 'task')}.eval"


def _write_archive(path: Path, benchmark: Benchmark) -> None:
    header, summaries = _header(benchmark), list[JSON]()
    with new_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        start = {name: header[name] for name in ("version", "eval", "plan")}
        archive.writestr("_journal/start.json", orjson.dumps(start))
        for sample in _samples(benchmark):
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", orjson.dumps(sample))
            summaries.append(_summary(sample))
        archive.writestr("summaries.json", orjson.dumps(summaries))
        archive.writestr("header.json", orjson.dumps(header))


def _write_json(path: Path, benchmark: Benchmark) -> None:
    write_new(path, _document(benchmark))


def _document(benchmark: Benchmark) -> Iterator[bytes]:
    yield orjson.dumps(_header(benchmark))[:-1] + b',"samples":['
    for number, sample in enumerate(_samples(benchmark)):
        yield (b",\n" if number else b"\n") + orjson.dumps(sample)
    yield b"\n]}\n"


def _id(benchmark: Benchmark, what: str) -> str:
    """Returns an id of 22 characters, the same for each export of a run."""
    signature = benchmark.figures[0].cell.signature.short
    text = f"{what} {benchmark.model} {benchmark.cell.spec.label} {signature} {started(benchmark.store)}"
    return hashlib.sha256(text.encode()).hexdigest()[:22]


def _header(benchmark: Benchmark) -> dict[str, Any]:
    spec, store = benchmark.cell.spec, benchmark.store
    created = started(store).isoformat(timespec="seconds")
    outcomes = benchmark.figures[0].cell.outcomes
    data = store.data(benchmark.cell)
    prompt, completion = benchmark.figures[0].cell.tokens
    usage = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}
    return {
        "version": VERSION,
        "status": "success" if benchmark.finished else "cancelled",
        "eval": {
            "eval_id": _id(benchmark, "eval"),
            "run_id": hashlib.sha256(f"{benchmark.model} {created}".encode()).hexdigest()[:22],
            "created": created,
            "task": benchmark.name,
            "task_id": _id(benchmark, "task"),
            "task_version": 0,
            "task_display_name": spec.label,
            "task_args": {"protocol": spec.protocol.label},
            "dataset": {
                "name": spec.data.get("name") or spec.task,
                "samples": spec.records or len(data.ids),
                "sample_ids": [name for name, _, _ in benchmark.samples()],
                "shuffled": False,
            },
            "model": benchmark.model,
            "model_generate_config": _generation(benchmark),
            "model_args": {},
            "config": {"limit": spec.limit, "epochs": 1, "fail_on_error": False, "log_samples": True},
            "packages": {"evalkit": evalkit.__version__},
            "metadata": _origin(benchmark),
            "scorers": [_scorer(figure) for figure in benchmark.figures],
        },
        "plan": {"name": "plan", "steps": [{"solver": spec.solver or "imported", "params": {}}]},
        "results": {
            "total_samples": len(data.ids),
            "completed_samples": len(data.ids) - outcomes["failed"],
            "scores": [_score_of_all(figure, len(data.ids)) for figure in benchmark.figures],
        },
        "stats": {
            "started_at": created,
            # a run file does not say when it was finished; without this the viewer shows NaN days
            "completed_at": max(started(store), written(store)).isoformat(timespec="seconds"),
            "model_usage": {benchmark.model: usage},
        },
    }


def _generation(benchmark: Benchmark) -> dict[str, JSON]:
    protocol = benchmark.cell.spec.protocol
    if benchmark.cell.spec.imported:
        return {}
    found: dict[str, JSON] = {
        "max_tokens": protocol.max_tokens,
        "temperature": protocol.temperature,
        "top_p": protocol.top_p,
        "num_choices": protocol.draws if protocol.draws > 1 else None,
        "stop_seqs": list(protocol.stop) or None,
        "system_message": protocol.system or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _origin(benchmark: Benchmark) -> dict[str, JSON]:
    cell = benchmark.figures[0].cell
    data: dict[str, JSON] = {
        name: value for name, value in cell.spec.data.items() if value and name != "where"
    }
    return {
        "evalkit": evalkit.__version__,
        "signature": cell.signature.line(),
        "protocol": cell.protocol,
        "data": data,
        "outcomes": dict(cell.outcomes),
        **({"part": cell.completeness.lacking} if cell.completeness.lacking else {}),
    }


def _scorer(figure: Figure) -> dict[str, JSON]:
    return {
        "name": figure.cell.metric,
        "options": settings_of(figure),
        "metrics": [{"name": _metric(figure), "options": {}}],
        "metadata": {"unit": figure.cell.unit, "higher_is_better": figure.cell.higher_is_better},
    }


def _metric(figure: Figure) -> str:
    """Returns `mean` if the figure is the mean of its samples' values, which readers take it for."""
    return "mean" if figure.is_mean else figure.name.casefold().replace(" ", "_")


def _score_of_all(figure: Figure, samples: int) -> dict[str, JSON]:
    numbers = {
        _metric(figure): figure.value,
        "stderr": figure.error,
        "low_95": figure.low,
        "high_95": figure.high,
    }
    metrics: dict[str, JSON] = {
        name: {"name": name, "value": value, "params": {}}
        for name, value in numbers.items()
        if value is not None
    }
    return {
        "name": figure.cell.metric,
        "scorer": figure.cell.metric,
        "scored_samples": len(figure.values),
        "unscored_samples": samples - len(figure.values),
        "params": {},
        "metrics": metrics,
    }


def _samples(benchmark: Benchmark) -> Iterator[dict[str, Any]]:
    for name, position, record in benchmark.samples():
        said = conversation(benchmark.store, record, benchmark.model)
        yield _sample(benchmark, name, position, record, said)


def _sample(
    benchmark: Benchmark, name: str, position: int, record: SampleRecord, said: Conversation
) -> dict[str, Any]:
    metadata: dict[str, JSON] = {**record.meta, "outcome": record.outcome, "requests": said.requests}
    more: dict[str, JSON] = {"tags": list(record.tags), "evalkit": origin(record)}
    metadata |= {key: value for key, value in more.items() if value}
    found: dict[str, Any] = {
        "id": name,
        "epoch": 1,
        "input": record.input,
        "target": record.target[0] if len(record.target) == 1 else record.target,
        "messages": said.messages,
        "output": said.output,
        "scores": {},
        "metadata": metadata,
        "store": {},
        "events": [],
        "model_usage": {benchmark.model: said.usage} if said.usage else {},
        "uuid": hashlib.sha256(f"{_id(benchmark, 'eval')} {name}".encode()).hexdigest()[:22],
        "attachments": said.attachments,
    }
    if record.choices:
        found["choices"] = record.choices
    if record.outcome == "failed":
        message = ": ".join(filter(None, (record.boundary, record.error))) or "an error without a message"
        found["error"] = {"message": message, "traceback": message, "traceback_ansi": message}
    else:
        scores = ((one.cell.metric, _score(one, position, record)) for one in benchmark.figures)
        found["scores"] = {metric: score for metric, score in scores if score is not None}
    return found


def _score(figure: Figure, position: int, record: SampleRecord) -> dict[str, JSON] | None:
    """Returns a sample's score; None if the figure leaves the sample out."""
    value = figure.values.get(position)
    if value is None:
        return None
    read = finals(record, figure.variant)
    answers = [final["value"] for final in read]
    shown: JSON = value
    if not figure.is_mean:  # a text, so that no reader takes the mean of such values for the figure
        shown = f"{100 * value:.4g} %" if figure.cell.unit == "%" else f"{figure.name} {value:.4g}"
    elif figure.cell.traits.right_or_wrong and value in (0, 1):
        nothing = value == 0 and all(answer is None for answer in answers)
        shown = "N" if nothing else "C" if value else "I"
    answered = [answer for answer in answers if answer is not None]
    reasons = dict.fromkeys(final["reason"] for final in read if final["reason"])
    return {
        "value": shown,
        "answer": "\n".join(answered) if answered else None,
        "explanation": "\n".join(reasons) or None,
        "metadata": dict(zip(figure.cell.measured.columns, figure.statistics[position], strict=True)),
        "history": [],
    }


def _summary(sample: dict[str, Any]) -> dict[str, JSON]:
    """Returns a sample as the list of samples shows it, with texts cut (EvalSampleSummary.thin_data)."""
    scores: dict[str, JSON] = {
        name: {**score, "explanation": _cut(score["explanation"]), "metadata": {}}
        for name, score in sample["scores"].items()
    }
    target = sample["target"]
    metadata = {name: _cut(value) for name, value in sample["metadata"].items() if _is_short(value)}
    found: dict[str, JSON] = {
        "id": sample["id"],
        "epoch": 1,
        "input": _cut(sample["input"]),
        "target": [_cut(one) for one in target] if isinstance(target, list) else _cut(target),
        "scores": scores,
        "metadata": metadata,
        "model_usage": sample["model_usage"],
        "uuid": sample["uuid"],
        "completed": True,
        "message_count": len(sample["messages"]),
    }
    if "choices" in sample:
        found["choices"] = sample["choices"]
    if "error" in sample:
        found["error"] = sample["error"]["message"]
    return found


def _is_short(value: JSON) -> bool:
    return isinstance(value, str) or len(orjson.dumps(value)) <= _SHORT


def _cut(value: Any) -> Any:
    return value[:_SHORT] if isinstance(value, str) else value
