"""A run file cut down to what a comparison and a table need, small enough to be committed as a baseline.

What stays: the manifest, the cells, and of each sample its id, group, tags, cluster, digests, outcome and
statistics. What goes: prompts, responses, answers, references, pictures and clips. Tables, comparisons and
intervals are the same; lists of samples, resuming and replaying need the whole file. The same run gives the
same bytes. With texts, all stays but previews of pictures and clips, and errors that retries fixed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson

from evalkit.errors import UsageError
from evalkit.runfile.records import COUNTED
from evalkit.runfile.store import Store

_TOTALS = """
CREATE TEMP TABLE clips AS
    SELECT cell, min(position) AS first, sum(media.seconds) AS seconds FROM sample, json_each(sample.media)
    JOIN media ON media.key = json_each.value WHERE outcome != 'failed' AND mime NOT LIKE 'video/%'
    GROUP BY cell;
CREATE TEMP TABLE used AS
    SELECT cell, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion FROM draw
    WHERE NOT judge AND draw >= 0 GROUP BY cell;
DELETE FROM asked;
DELETE FROM draw;
DELETE FROM request;
DELETE FROM error;
DELETE FROM generated;
DELETE FROM media;
INSERT INTO draw (request, draw, cell, sample, judge, text, reasoning, finish, prompt_tokens,
    completion_tokens, seconds)
    SELECT cell, 0, cell, '', 0, '', '', '', prompt, completion, 0.0 FROM used;
UPDATE sample SET input = '', target = '[]', choices = '[]', meta = '{}', media = '[]', error = '',
    answer = slim(answer);
UPDATE sample SET media = json_array('all of ' || cell)
    WHERE (cell, position) IN (SELECT cell, first FROM clips);
INSERT INTO media (key, mime, width, height, seconds, bytes, preview)
    SELECT 'all of ' || cell, '', 0, 0, seconds, 0, x'' FROM clips ORDER BY cell;
INSERT OR REPLACE INTO run VALUES ('slim', 'true');
DROP TABLE clips;
DROP TABLE used;
"""
"""Tokens and seconds of speech are kept as one row a cell, where tables sum them up."""


_TEXTS = """
DELETE FROM error;
UPDATE media SET preview = x'';
UPDATE generated SET data = NULL;
INSERT OR REPLACE INTO run VALUES ('slim', '"texts"');
"""
"""What is left can be read, scored and measured again (`evalkit.engine.rescore`)."""


def write_slim(run: Path, path: Path, *, texts: bool = False) -> None:
    """Writes the slim form of the run file `run` to `path`, which must not be there yet.

    `texts`: with questions, responses and answers, without what was seen and heard and the errors on the way.
    """
    if path.exists():
        raise UsageError(f"{path} is there already: remove it, or name another file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Store.open(run) as whole, closing(sqlite3.connect(":memory:")) as copy:
            whole.connection.backup(copy)
            copy.create_function("slim", 1, _slim_answer, deterministic=True)
            copy.executescript(_TEXTS if texts else _TOTALS)
            copy.execute("VACUUM INTO ?", (str(path),))
    except (OSError, sqlite3.Error) as error:
        raise UsageError(f"cannot write {path}: {error}") from None


def _slim_answer(text: str) -> str:
    """Of an answer what tables count: the outcomes in other variants, and the details in `COUNTED`."""
    answer = orjson.loads(text) or {}
    kept = {
        "outcomes": answer.get("outcomes"),
        "detail": {key: value for key, value in answer.get("detail", {}).items() if key in COUNTED},
    }
    return orjson.dumps({key: value for key, value in kept.items() if value} or None).decode()
