"""Writes runs as lm-evaluation-harness does: a results file, and a file of samples for each benchmark.

The format is that of lm-eval 0.4.13 (loggers/evaluation_tracker.py, result_schema.py, evaluator.py). A
reading of the responses is a filter of lm-eval, the headline's is called `none`. Percentages are shares.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

import evalkit
from evalkit.errors import UsageError
from evalkit.exports.files import write_new
from evalkit.exports.read import (
    Benchmark,
    Figure,
    benchmarks,
    file_name,
    finals,
    of_model,
    origin,
    settings_of,
    started,
)
from evalkit.runfile.sample_records import AskedRequest, SampleRecord
from evalkit.runfile.store import Store
from evalkit.samples import JSON

_WEIGHTED = ("word_perplexity", "byte_perplexity", "bits_per_byte")
"""Metrics whose samples lm-eval logs as (log-probability, units) (api/metrics.py)."""
_INVALID = "[invalid]"
"""What lm-eval's filters return if they find no answer (filters/extraction.py)."""
_UNSAFE = re.compile(r"[\"<>:/|\\?*\[\]]+")
"""What lm-eval replaces in a model's name (utils.py: sanitize_model_name)."""


def export(stores: Sequence[Store], output: Path | None) -> Iterator[str]:
    """Writes FOLDER/MODEL/results_TIME.json and samples_TASK_TIME.jsonl, and yields the results files.

    TIME is when the run began. Raises `UsageError` if a file is there already, and for slim run files.
    """
    if output is None:
        raise UsageError("--format lm-eval writes several files: name a folder with -o")
    done = set[Path]()
    for store in stores:
        store.needs_texts("lm-eval's file of samples")
        found = benchmarks(store)
        folder = output / _UNSAFE.sub("__", found[0].model)
        at = started(store).replace(tzinfo=None)
        while (path := folder / f"results_{_time(at)}.json") in done:
            at += timedelta(microseconds=1)  # two of these runs began within the same second
        done.add(path)
        document = _results(store, found)
        for benchmark in found:
            name = f"samples_{file_name(benchmark.name)}_{_time(at)}.jsonl"
            write_new(folder / name, _lines(benchmark))
        write_new(path, [orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)])
        yield str(path)


def _time(at: Any) -> str:
    return str(at.isoformat(timespec="microseconds").replace(":", "-"))


def _results(store: Store, found: Sequence[Benchmark]) -> dict[str, Any]:
    tasks = {file_name(one.name): one for one in found}
    manifest = store.manifest
    model = manifest["model"]
    return {
        "results": {task: _figures(task, one) for task, one in tasks.items()},
        "group_subtasks": {},
        "configs": {task: _config(task, one) for task, one in tasks.items()},
        "versions": dict.fromkeys(tasks),
        "n-shot": {task: one.cell.spec.protocol.shots for task, one in tasks.items()},
        "higher_is_better": {
            task: {_name(figure): figure.cell.higher_is_better for figure in one.figures}
            for task, one in tasks.items()
        },
        "n-samples": {task: _sizes(one) for task, one in tasks.items()},
        "config": {
            "model": "evalkit",
            "model_args": {"model": model["name"]},
            "limit": max((one.cell.spec.limit for one in found if one.cell.spec.limit), default=None),
            "random_seed": manifest["seed"],
        },
        "date": started(store).timestamp(),
        "task_hashes": {},
        "model_source": "evalkit",
        "model_name": model["name"],
        "model_name_sanitized": _UNSAFE.sub("__", model["name"]),
        "system_instruction": None,
        "chat_template": None,
        "evalkit_version": evalkit.__version__,
        "evalkit": {
            task: [
                {**figure.cell.as_json(), "signature": figure.cell.signature.line()} for figure in one.figures
            ]
            for task, one in tasks.items()
        },
    }


def _figures(task: str, benchmark: Benchmark) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": task,
        "alias": benchmark.cell.spec.label,
        "sample_len": benchmark.asked,
    }
    for figure in benchmark.figures:
        if figure.value is not None:
            name, reading = _name(figure), _filter(figure.variant)
            found[f"{name},{reading}"] = figure.value
            found[f"{name}_stderr,{reading}"] = "N/A" if figure.error is None else figure.error
    return found


def _sizes(benchmark: Benchmark) -> dict[str, int]:
    spec, asked = benchmark.cell.spec, benchmark.asked
    expected = asked if benchmark.finished else max(asked, spec.wanted or 0)
    return {"original": spec.records or expected, "effective": expected}


def _config(task: str, benchmark: Benchmark) -> dict[str, Any]:
    spec = benchmark.cell.spec
    protocol, data = spec.protocol, spec.data
    settings = {
        "until": list(protocol.stop),
        "do_sample": protocol.temperature > 0,
        "temperature": protocol.temperature,
        "top_p": protocol.top_p,
        "max_gen_toks": protocol.max_tokens,
    }
    return {
        "task": task,
        "dataset_path": data.get("name") or None,
        "dataset_name": data.get("config") or None,
        "test_split": data.get("split") or None,
        "num_fewshot": protocol.shots,
        "output_type": "multiple_choice" if _asks_likelihoods(benchmark) else "generate_until",
        "generation_kwargs": settings,
        "repeats": protocol.draws,
        "metric_list": [
            {
                "metric": _name(figure),
                "aggregation": "mean" if figure.is_mean else figure.cell.measured.identity,
                "higher_is_better": figure.cell.higher_is_better,
            }
            for figure in benchmark.figures
        ],
        "filter_list": [{"name": _filter(variant), "filter": []} for variant in benchmark.variants],
        "evalkit": settings_of(benchmark.figures[0]),
        "metadata": {"revision": data.get("revision") or None, "evalkit": evalkit.__version__},
    }


def _asks_likelihoods(benchmark: Benchmark) -> bool:
    found = benchmark.store.connection.execute(
        "SELECT 1 FROM draw WHERE cell = ? AND likelihoods IS NOT NULL LIMIT 1", (benchmark.cell.id,)
    ).fetchone()
    return found is not None


def _name(figure: Figure) -> str:
    """Returns the metric's name: lm-eval separates it from that of the filter by a comma."""
    return figure.name.replace(",", ";")


def _filter(variant: str) -> str:
    return variant.replace(",", ";") or "none"


def _lines(benchmark: Benchmark) -> Iterator[bytes]:
    """Yields a line for each sample and reading, as JSON."""
    for _, position, record in benchmark.samples():
        common = _sample(record, position)
        for variant in benchmark.variants:
            own = [figure for figure in benchmark.figures if figure.variant == variant]
            line = {
                **common,
                "filtered_resps": _answers(record, variant, common["resps"]),
                "filter": _filter(variant),
                "metrics": [_name(figure) for figure in own],
                **{_name(figure): _value(figure, position) for figure in own},
            }
            if record.error:
                line["error"] = f"{record.boundary}: {record.error}" if record.boundary else record.error
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _value(figure: Figure, position: int) -> JSON:
    """Returns what a sample contributes to a figure: its value, or the numbers that the figure sums up."""
    numbers = figure.statistics.get(position)
    if numbers is None or (figure.is_mean and position not in figure.values):
        return None
    if figure.name in _WEIGHTED:
        return list(numbers[:2])
    return figure.values[position] if figure.is_mean else list(numbers)


def _sample(record: SampleRecord, position: int) -> dict[str, Any]:
    doc: dict[str, JSON] = {"id": record.id, "question": record.input}
    more: Mapping[str, Any] = {
        "choices": record.choices,
        "tags": record.tags,
        "meta": record.meta,
    }
    doc |= {name: value for name, value in more.items() if value}
    target = record.target[0] if len(record.target) == 1 else orjson.dumps(record.target).decode()
    asked = [pair for request in of_model(record) for pair in _asked(request)]
    arguments = [argument for argument, _ in asked]
    return {
        "doc_id": position,
        "doc": doc,
        "target": target,
        "arguments": {
            f"gen_args_{at}": {"arg_0": prompt, "arg_1": more} for at, (prompt, more) in enumerate(arguments)
        },
        "resps": [said for _, said in asked] or [[""]],
        "doc_hash": _hash(orjson.dumps(doc)),
        "prompt_hash": _hash(orjson.dumps(arguments[0][0] if arguments else "")),
        "target_hash": _hash(target.encode()),
        "evalkit": origin(record),
    }


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _asked(request: AskedRequest) -> Iterator[tuple[tuple[JSON, JSON], list[JSON]]]:
    """Yields the arguments and the responses of a request; of one for likelihoods, of each continuation."""
    prompt = _prompt(request.body["prompt"])
    likelihoods = request.draws[0].response.likelihoods
    for one in likelihoods:
        logprob = str(max(one.logprob, -1e300))  # lm-eval logs texts; a probability of 0 has no finite one
        yield (prompt, one.text), [[logprob, str(bool(one.greedy))]]
    if not likelihoods:
        settings = {
            "until": request.body.get("stop"),
            "temperature": request.body.get("temperature"),
            "max_gen_toks": request.body.get("max_tokens"),
        }
        yield (prompt, settings), [draw.response.text for draw in request.draws]


def _prompt(prompt: Any) -> JSON:
    """Returns a text as it is, a chat as lm-eval logs it: as JSON in a list, with `<image>` for a picture."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, dict):
        return "<audio>"
    turns = [{**turn, "content": _content(turn["content"])} for turn in prompt]
    return [orjson.dumps(turns).decode()]


def _content(content: str | list[dict[str, str]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] if "text" in part else f"<{next(iter(part))}>" for part in content)


def _answers(record: SampleRecord, variant: str, resps: Sequence[Any]) -> list[JSON]:
    """Returns what was scored: the answers that were read, or the log-probabilities of continuations."""
    if resps and all(isinstance(of[0], list) for of in resps):
        return [of[0] for of in resps]
    found = [_INVALID if final["value"] is None else str(final["value"]) for final in finals(record, variant)]
    return list(found) or [""]
