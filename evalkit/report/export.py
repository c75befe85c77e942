"""Exports a run file for other programs: one row per sample, or the file that a benchmark's server judges.

Some benchmarks do not publish their references (VQAv2 test-dev, DocVQA test). Their server takes the answers
as a file, whose format the task defines (`Task.submission`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any

import orjson

from evalkit.benchmark.names import file_of
from evalkit.benchmark.task import Submitted
from evalkit.errors import UsageError, counted
from evalkit.report.documents import to_csv as csv_of
from evalkit.report.sclite import to_ctm, to_stm, to_trn, to_trn_references
from evalkit.runfile.completeness import completeness
from evalkit.runfile.measured import task_of
from evalkit.runfile.records import FAILED
from evalkit.runfile.sample_records import AskedRequest, SampleRecords
from evalkit.runfile.store import Cell, Store
from evalkit.samples import JSON

Row = dict[str, JSON]


def rows(stores: Sequence[Store]) -> Iterator[Row]:
    """Yields a row for every sample of every run: its question, its responses and its verdict."""
    for store in stores:
        store.needs_texts("a list of samples")
        model = store.manifest["model"]["name"]
        for cell in store.cells():
            if not cell.role:
                start: Row = {"task": cell.task, "protocol": cell.spec.protocol.label, "model": model}
                records = SampleRecords(store, cell)
                for sample in store.samples(cell):
                    yield {**start, **sample, "responses": _responses(records.of(sample["position"]))}


def _responses(requests: Sequence[AskedRequest]) -> list[JSON]:
    """Every draw of a sample, in the order of the requests; `request` is the request's number from 0."""
    return [
        {
            "request": number,
            "draw": drawn.draw,
            "judge": request.judge,
            "tool": request.tool,
            "branch": request.branch,
            "text": drawn.response.text,
            "reasoning": drawn.response.reasoning,
            "finish": drawn.response.finish,
            "prompt_tokens": drawn.response.prompt_tokens,
            "completion_tokens": drawn.response.completion_tokens,
            "media": [one.key for one in drawn.response.media],
        }
        for number, request in enumerate(requests)
        for drawn in request.draws
    ]


def submission(store: Store) -> bytes:
    """The file for the benchmark's server. Raises `UsageError` if it would be incomplete."""
    store.needs_texts("a submission")
    cells = [cell for cell in store.cells() if not cell.role]
    tasks = [(cell, task_of(store, cell.spec)) for cell in cells]
    takers = [(cell, task.submission) for cell, task in tasks if task and task.submission]
    if not takers:
        names = ", ".join(cell.task for cell in cells)
        files = [file[0].name for cell, task in tasks if not task and (file := file_of(cell.spec.source))]
        if files:
            raise UsageError(
                f"{store.path} was made with a task file of your own: name it to import it: "
                f"--task-file {files[0]}"
            )
        raise UsageError(
            f"{store.path}: no server takes the answers to {names}: export them with --format jsonl"
        )
    if len(takers) > 1:
        names = ", ".join(cell.task for cell, _ in takers)
        raise UsageError(
            f"{store.path} contains {names}, but a submission is for one benchmark: run it on its own"
        )
    ((cell, submit),) = takers
    _whole(store, cell)
    answers = (_submitted(row) for row in store.samples(cell))
    return orjson.dumps(submit(answers), option=orjson.OPT_APPEND_NEWLINE)


def _whole(store: Store, cell: Cell) -> None:
    whole, failed = completeness(store, cell), store.outcomes(cell)[FAILED]
    why = whole.unasked
    if failed:
        why = ", ".join(filter(None, (why, f"{counted(failed, 'sample')} failed")))
    if why:
        of = "all" if whole.all is None else f"{whole.all:,}"
        raise UsageError(
            f"{store.path}: {whole.asked - failed:,} of {of} samples of {cell.task} are answered ({why}), "
            "and a server takes only all of them: finish the run first, on the whole data and without --limit"
        )


def _submitted(row: dict[str, Any]) -> Submitted:
    value = row["finals"][0]["value"]
    return Submitted(row["id"], row["meta"], value)


def to_jsonl(stores: Sequence[Store]) -> bytes:
    """One JSON object per line, one line per sample."""
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows(stores))


def to_csv(stores: Sequence[Store]) -> bytes:
    """CSV for spreadsheets, one line per sample. Lists and objects are JSON text; no cell is a formula."""
    return csv_of(map(_flat, rows(stores))).encode()


def to_parquet(stores: Sequence[Store]) -> bytes:
    """A Parquet file with one row per sample. Lists and objects are JSON text."""
    import pandas as pd

    out = BytesIO()
    pd.DataFrame(list(map(_flat, rows(stores)))).to_parquet(out, index=False)
    return out.getvalue()


FORMATS: dict[str, Callable[[Sequence[Store]], bytes]] = {
    "jsonl": to_jsonl,
    "csv": to_csv,
    "parquet": to_parquet,
    "trn": to_trn,
    "trn-references": to_trn_references,
    "stm": to_stm,
    "ctm": to_ctm,
}


def _flat(row: Row) -> dict[str, str | int]:
    return {
        key: value if isinstance(value, str | int) else orjson.dumps(value).decode()
        for key, value in row.items()
    }
