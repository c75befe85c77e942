"""Reads data sets in a process of its own.

`huggingface_hub` takes its endpoint, cache and token from the environment when it is imported, so each
of them needs a new process. Run as a program, this file reads jobs from stdin and prints what came.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.data import Data, DataOptions, Hub, Package
from evalkit.data.zipped import HubZip
from evalkit.errors import DataError

ROOT = Path(__file__).parents[2]
SHARDED = b"""---
configs:
- config_name: main
  data_files:
  - split: test
    path: data/test-*
  - split: train
    path: data/train-*
---
Questions made up for evalkit's tests.
"""


@dataclass
class Job:
    """A data set to open, and where."""

    name: str
    revision: str = "0" * 40
    config: str | tuple[str, ...] = "main"
    split: str = "test"
    columns: tuple[str, ...] = ("question",)
    package: tuple[str, str] | None = None
    other_revision: str | None = None
    archive: str = ""
    """A zip file of the data set, whose records are read instead."""

    def run(self) -> dict[str, Any]:
        """What came, or the error; any other exception ends the program."""
        package = Package(*self.package) if self.package else None
        config = self.config if isinstance(self.config, str) else tuple(self.config)
        data: Data = Hub(self.name, config, self.split, self.revision, self.columns, package)
        if self.archive:
            data = HubZip(self.name, self.archive, self.split, self.revision, self.columns)
        try:
            records = data.open(DataOptions(revision=self.other_revision))
            first, second = list(records), list(records)
        except DataError as error:
            return asdict(Got(error=str(error)))
        assert first == second, "the second reading differs"
        questions = [str(record["question"])[:80] for record in first]
        return asdict(Got(questions, records.count, dict(records.origin)))


@dataclass
class Got:
    """What a job came to."""

    questions: list[str] = field(default_factory=list)
    count: int | None = None
    origin: dict[str, str] = field(default_factory=dict)
    error: str = ""


def read(*jobs: Job, endpoint: str, home: Path, **environment: str) -> list[Got]:
    """Run the jobs in one new process, with an empty environment but for what is given."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.data.reading"],
        input=json.dumps([asdict(job) for job in jobs]),
        env={"PATH": os.environ["PATH"], "HF_HOME": str(home), "HF_ENDPOINT": endpoint, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", f"log lines or bars reached the terminal: {done.stderr}"
    got = [Got(**one) for one in json.loads(done.stdout)]
    assert all("\n" not in one.error for one in got), "an error of several lines"
    return got


def parquet(*questions: str, column: str = "question", compression: str = "snappy") -> bytes:
    """A parquet file of these questions."""
    out = BytesIO()
    table = pa.table({"id": list(range(len(questions))), column: list(questions)})
    pq.write_table(table, out, compression=compression)
    return out.getvalue()


def jsonl(*questions: str) -> bytes:
    """A JSON lines file of these questions."""
    return b"".join(json.dumps({"question": question}).encode() + b"\n" for question in questions)


if __name__ == "__main__":
    print(
        json.dumps([Job(**{**one, "columns": tuple(one["columns"])}).run() for one in json.load(sys.stdin)])
    )
