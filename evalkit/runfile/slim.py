"""Writes a slim run file: only what comparisons and tables need, small enough to commit as a baseline.

A slim run file keeps the manifest, the cells, and each sample's id, group, tags, cluster, digests, outcome
and statistics. It omits prompts, responses, answers, references, pictures and clips. Tables, comparisons and
intervals stay the same; lists of samples, resuming and replaying need the whole file. The same run gives the
same bytes. With texts, it omits only the previews of pictures and clips, and the errors of failed attempts.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson

from evalkit.errors import UsageError
from evalkit.runfile.encoding import dump
from evalkit.runfile.evidence import entries
from evalkit.runfile.records import COUNTED
from evalkit.runfile.seals import inserting, reseal
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import counted_tokens

_TOTALS = f"""
CREATE TEMP TABLE clips AS
    SELECT cell, min(position) AS first, sum(media.seconds) AS seconds FROM sample, json_each(sample.media)
    JOIN media ON media.key = json_each.value WHERE outcome != 'failed' AND mime NOT LIKE 'video/%'
    GROUP BY cell;
CREATE TEMP TABLE used AS
    SELECT cell, sum({counted_tokens("prompt")}) AS prompt,
        sum({counted_tokens("completion")}) AS completion FROM draw
    WHERE NOT judge AND draw >= 0 GROUP BY cell;
DELETE FROM asked;
DELETE FROM draw;
DELETE FROM request;
DELETE FROM error;
DELETE FROM generated;
DELETE FROM media;
DELETE FROM run WHERE key LIKE 'channels cancel out: %' OR key LIKE 'requests of batch %';
INSERT INTO draw (request, draw, cell, sample, judge, text, reasoning, finish, prompt_tokens,
    completion_tokens, seconds)
    SELECT cell, 0, cell, '', 0, '', '', '', prompt, completion, 0.0 FROM used;
UPDATE sample SET input = '', target = '[]', choices = '[]', meta = '{{}}', media = '[]', error = '',
    answer = slim(answer);
UPDATE sample SET media = json_array('all of ' || cell)
    WHERE (cell, position) IN (SELECT cell, first FROM clips);
INSERT INTO media (key, mime, width, height, seconds, bytes, preview)
    SELECT 'all of ' || cell, '', 0, 0, seconds, 0, x'' FROM clips ORDER BY cell;
INSERT OR REPLACE INTO run (key, value) VALUES ('slim', 'true');
DROP TABLE clips;
DROP TABLE used;
"""  # noqa: S608 — fixed
"""Keeps tokens and seconds of speech as one row per cell, because tables only show their sums."""


_TEXTS = """
DELETE FROM error;
UPDATE media SET preview = x'';
UPDATE generated SET data = NULL;
INSERT OR REPLACE INTO run (key, value) VALUES ('slim', '"texts"');
"""
"""Keeps what reading, scoring and measuring again needs (`evalkit.engine.rescore`)."""


def write_slim(run: Path, path: Path, *, texts: bool = False) -> None:
    """Writes the slim form of the run file `run` to `path`, which must not exist. Raises `UsageError`.

    `texts`: keep questions, responses and answers; omit the media and the errors of failed attempts.
    """
    if path.exists():
        raise UsageError(f"{path} already exists: remove it, or name another file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Store.open(run) as whole, closing(sqlite3.connect(":memory:")) as copy:
            whole.check_all()
            whole.connection.backup(copy)
            notes = () if texts else entries(whole)
            copy.executemany(inserting("run", "INSERT OR REPLACE"), [(k, dump(v)) for k, v in notes])
            copy.create_function("slim", 1, _slim_answer, deterministic=True)
            copy.executescript(_TEXTS if texts else _TOTALS)
            reseal(copy)
            copy.commit()
            copy.execute("VACUUM INTO ?", (str(path),))
    except (OSError, sqlite3.Error) as error:
        raise UsageError(f"cannot write {path}: {error}") from None


def _slim_answer(text: str) -> str:
    """Returns the part of an answer that tables count: the variants' outcomes, and details in `COUNTED`."""
    answer = orjson.loads(text) or {}
    kept = {
        "outcomes": answer.get("outcomes"),
        "detail": {key: value for key, value in answer.get("detail", {}).items() if key in COUNTED},
    }
    return orjson.dumps({key: value for key, value in kept.items() if value} or None).decode()
