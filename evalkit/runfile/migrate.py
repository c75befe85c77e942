"""Reads run files of earlier formats as files of the current format.

The file itself is not changed: a copy in memory is converted, for reading only. Values that an earlier format
lacks are derived from others or left out. Code that an earlier format identifies by digests keeps those
identities, which no current code equals.
"""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

import orjson

from evalkit.benchmark.protocol import ProtocolSettings
from evalkit.benchmark.spec import CellSpec, VariantSpec
from evalkit.convert import to_json
from evalkit.identity.declared import OWN
from evalkit.metrics.base import Metric
from evalkit.metrics.macro import Macro
from evalkit.metrics.spec import MetricSpec
from evalkit.metrics.stored import KINDS, metric_of_kind, metric_spec
from evalkit.runfile.encoding import dump, question_digest
from evalkit.runfile.seals import CELL_COPY, reseal, script, tables
from evalkit.samples import JUDGE, Image, Sample

_CLASSES = {place.rpartition(":")[2]: kind for kind, place in KINDS.items()}
_IDENTITY = re.compile(r"(\w+)(?:\((.*)\))?@")
_DIGESTS = 1 << 128


def is_known(found: object) -> TypeGuard[int]:
    """Whether `found` is an earlier format that `migrated` converts."""
    return type(found) is int and found in _STEPS


def migrated(db: sqlite3.Connection, found: int) -> sqlite3.Connection:
    """Returns a copy in memory of the run file of format `found`, in the current format."""
    copy = sqlite3.connect(":memory:")
    db.backup(copy)
    for version in range(found, max(_STEPS) + 1):
        _STEPS[version](copy)
        copy.execute("UPDATE run SET value = ? WHERE key = 'format'", (dump(version + 1),))
    reseal(copy)
    copy.commit()
    return copy


def _from_3(db: sqlite3.Connection) -> None:
    """Types the specs, links samples to their responses, and sets whether cells are finished."""
    db.execute(_table("figure"))
    db.execute(
        "CREATE TABLE asked (cell INTEGER, position INTEGER, turn INTEGER, draw INTEGER, request INTEGER, "
        "PRIMARY KEY (cell, position, turn, draw)) WITHOUT ROWID"
    )
    db.execute("ALTER TABLE cell ADD COLUMN finished INTEGER")
    for cell, task, protocol, spec in db.execute("SELECT id, task, protocol, spec FROM cell").fetchall():
        made = _spec_of_3(task, protocol, orjson.loads(spec))
        (count,) = db.execute("SELECT count(*) FROM sample WHERE cell = ?", (cell,)).fetchone()
        expected = min((n for n in (made.limit, made.records) if n is not None), default=count)
        db.execute(
            "UPDATE cell SET protocol = ?, spec = ?, finished = ? WHERE id = ?",
            (made.protocol.name, dump(to_json(made)), count if count >= expected else None, cell),
        )
        _link(db, cell)
        _question(db, cell)


def _spec_of_3(task: str, label: str, old: Mapping[str, Any]) -> CellSpec:
    name, _, inside = label.partition("[")
    asked = dict(old["protocol"])
    solver, threshold = asked.pop("solver"), asked.pop("threshold", None)
    fallback = asked.pop("fallback", "")
    protocol = ProtocolSettings(
        name=name,
        overrides=dict(_overrides(inside.removesuffix("]"))),
        fallback=(fallback.partition(" ")[0],) if fallback else (),
        threshold=_threshold(threshold),
        **{**asked, "stop": tuple(asked["stop"])},
    )
    return CellSpec(
        task=task,
        source=old["task_spec"],
        protocol=protocol,
        options=old["options"],
        solver=solver,
        extract=old["extract"],
        scorer=old["judge"],
        model_extractor=old.get("referee", ""),
        fallback=fallback,
        variants=tuple(
            VariantSpec(name=name, extract=parts.get("extract", ""), scorer=parts.get("judge", ""))
            for name, parts in old["views"].items()
        ),
        metrics=tuple(_metric_of_3(metric, macro=old["macro"]) for metric in old["metrics"]),
        notes=old["notes"],
        data=old["data"],
        records=old["records"],
        limit=old["limit"],
        report=old["report"],
    )


def _overrides(text: str) -> Iterator[tuple[str, str]]:
    """Parses `a=1,b=2`. A comma that is not followed by `key=` belongs to the value before it."""
    for pair in re.split(r",(?=\w+=)", text):
        key, equals, value = pair.partition("=")
        if equals:
            yield key, value


def _threshold(value: object) -> float | None:
    if value == "never":
        return float("inf")
    return float(value) if isinstance(value, int | float) else None


def _metric_of_3(old: Mapping[str, Any], *, macro: bool) -> MetricSpec:
    """Makes a metric's spec. The code that wrote format 3 is version 1 of evalkit's metrics."""
    found = _IDENTITY.match(old["identity"])
    kind = _CLASSES.get(found[1], "") if found else ""
    metric: Metric | None = None
    if found and kind:
        metric = metric_of_kind(kind, _parameters(found[2] or ""))
    if metric is not None:
        return metric_spec(Macro(metric) if macro else metric)
    kept = {key: old[key] for key in ("name", "unit", "higher_is_better")}
    return MetricSpec(**kept, columns=tuple(old["columns"]), identity=f"{OWN}{old['identity']}")


def _parameters(text: str) -> dict[str, Any]:
    """Parses `k=10,view='strict'`, the arguments of a call."""
    call = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    return _keys(
        {one.arg: ast.literal_eval(one.value) for one in call.keywords if one.arg}, {"view": "variant"}
    )


def _link(db: sqlite3.Connection, cell: int) -> None:
    """Links samples to their responses: those stored under the sample's id, and one of another cell.

    `asked` is the sum of the keys of the sample's requests, so a single missing key is found by subtraction.
    """
    for position, sample, asked in db.execute(
        "SELECT position, id, asked FROM sample WHERE cell = ? ORDER BY position", (cell,)
    ).fetchall():
        own = db.execute(
            "SELECT DISTINCT request, key, judge FROM draw JOIN request ON request.id = draw.request "
            "WHERE cell = ? AND sample = ? ORDER BY request",
            (cell, sample),
        ).fetchall()
        keys = (int.from_bytes(key) for _, key, judge in own if not judge)
        missing = ((int.from_bytes(asked) - sum(keys)) % _DIGESTS).to_bytes(16)
        other = db.execute("SELECT id FROM request WHERE key = ?", (missing,)).fetchall()
        for turn, (request, *_) in enumerate([*own, *other]):
            db.execute(
                "INSERT OR IGNORE INTO asked SELECT ?, ?, ?, draw, request FROM draw "
                "WHERE request = ? AND draw >= 0",
                (cell, position, turn, request),
            )


def _question(db: sqlite3.Connection, cell: int) -> None:
    """Computes the digest of each question again, because it covers more fields now."""
    for position, name, text, *columns in db.execute(
        "SELECT position, id, input, target, choices, meta, media, grp FROM sample WHERE cell = ?", (cell,)
    ).fetchall():
        *lists, group = columns
        target, choices, meta, media = map(orjson.loads, lists)
        shown = tuple(map(Image.known, media))  # the digest has their keys, whatever they are
        sample = Sample(name, text, tuple(target), tuple(choices), group, meta=meta, media=shown)
        db.execute(
            "UPDATE sample SET question = ? WHERE cell = ? AND position = ?",
            (question_digest(sample), cell, position),
        )


_SOLVERS = {
    "ask_once": ("ask_once@2", "each_draw@1"),
    "majority_vote": ("ask_once@2", "majority_vote@1"),
    "choose_letter": ("ask_likelihoods@1", "choose_letter@1"),
    "route_by_agreement": ("ask_with_fallback@1", "route_by_agreement@1"),
}
"""The solver and reader that replace each function that did both until format 4, by its name.

In format 3 the name is followed by a digest.
"""


def _from_4(db: sqlite3.Connection) -> None:
    """Separates readers from solvers, gives links their branch and judge models their role."""
    db.execute("ALTER TABLE asked ADD COLUMN branch TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE draw ADD COLUMN likelihoods TEXT")
    db.execute("ALTER TABLE draw ADD COLUMN tool_calls TEXT")
    db.execute(_table("generated"))
    for cell, text in db.execute("SELECT id, spec FROM cell").fetchall():
        spec = orjson.loads(text)
        solver = spec.get("solver", "")
        asks, reads = _SOLVERS.get(solver.partition("@")[0], (solver, ""))
        spec |= {"solver": asks, "reader": reads}
        db.execute("UPDATE cell SET spec = ? WHERE id = ?", (dump(spec), cell))
        fallback = spec.get("protocol", {}).get("fallback")
        if fallback:  # the majority's draws come first, in one turn
            db.execute(
                "UPDATE asked SET branch = ? WHERE cell = ? AND turn > 0 AND request NOT IN "
                "(SELECT request FROM draw WHERE judge)",
                (fallback[0], cell),
            )
    for (judge,) in db.execute("SELECT value FROM run WHERE key = 'judge'").fetchall():
        name = orjson.loads(judge)
        roles = {} if name is None else {JUDGE: name}
        db.execute("INSERT OR REPLACE INTO run VALUES ('judges', ?)", (dump(roles),))


def _from_5(db: sqlite3.Connection) -> None:
    """Renames views to variants, legs to branches and judge functions to scorers."""
    for cell, text in db.execute("SELECT id, spec FROM cell").fetchall():
        db.execute("UPDATE cell SET spec = ? WHERE id = ?", (dump(_renamed(orjson.loads(text))), cell))
    words = {"views": "variants", "legs": "branches"}
    for cell, position, text in db.execute("SELECT cell, position, answer FROM sample").fetchall():
        answer = orjson.loads(text)
        if answer and words.keys() & answer.keys():
            answer = {words.get(key, key): value for key, value in answer.items()}
            db.execute(
                "UPDATE sample SET answer = ? WHERE cell = ? AND position = ?", (dump(answer), cell, position)
            )


def _renamed(spec: dict[str, Any]) -> dict[str, Any]:
    found = _keys(spec, {"views": "variants", "judge": "scorer", "referee": "model_extractor"})
    found["protocol"] = _keys(found["protocol"], {"legs": "branches"})
    found["variants"] = [_keys(variant, {"judge": "scorer"}) for variant in found["variants"]]
    found["metrics"] = [_renamed_metric(metric) for metric in found["metrics"]]
    return found


def _renamed_metric(metric: Mapping[str, Any]) -> dict[str, Any]:
    found = _keys(metric, {"view": "variant"})
    found["identity"] = re.sub(r"\bview='", "variant='", found["identity"])
    found["parameters"] = _keys(found["parameters"], {"view": "variant"})
    if "inner" in found["parameters"]:
        found["parameters"]["inner"] = _renamed_metric(found["parameters"]["inner"])
    return found


def _keys(old: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    return {words.get(key, key): value for key, value in old.items()}


def _from_6(db: sqlite3.Connection) -> None:
    """Gives each table the column of the checksums, and otherwise the columns of the current format."""
    before = {name: table for name, table in tables().items() if name != CELL_COPY}
    for name in before:
        db.execute(f"ALTER TABLE {name} RENAME TO before_{name}")
    db.executescript(script())
    for name, table in before.items():
        db.execute(f"INSERT INTO {name} ({table.names}) SELECT {table.names} FROM before_{name}")  # noqa: S608
        db.execute(f"DROP TABLE before_{name}")


def _table(name: str) -> str:
    """Returns the statement that creates a table of the current format."""
    statement = re.search(rf"CREATE TABLE {name} \(.*?\n\)[^;]*", script(), re.DOTALL)
    assert statement is not None
    return statement[0]


_STEPS: Mapping[int, Callable[[sqlite3.Connection], None]] = {
    3: _from_3,
    4: _from_4,
    5: _from_5,
    6: _from_6,
}
"""The function that converts each format to the next one."""
