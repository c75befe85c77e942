"""How the figures came about, in words: the data, the protocols, the runs, and how to make them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from evalkit.errors import UsageError
from evalkit.store import Cell, Store
from evalkit.task import file_of, load_task

Facts = tuple[tuple[str, str], ...]
"""(what, its value), in the order to be shown."""

_DATA = {
    "name": "data set", "config": "configuration", "split": "split", "revision": "revision",
    "kind": "read from", "where": "at",
}  # fmt: skip
_PROTOCOL = {
    "api": "asked as", "shots": "solved examples shown", "draws": "draws", "temperature": "temperature",
    "top_p": "top p", "max_tokens": "tokens at most", "stop": "stops at", "logprobs": "alternatives a token",
    "likelihood": "likelihoods from", "fallback": "falls back to", "threshold": "threshold",
    "max_pixels": "pixels at most", "resample": "scaled by", "language_hint": "told the language",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
    """A benchmark under one protocol: what it is, its data, how it was asked and judged."""

    name: str
    summary: str
    data: Facts
    protocol: Facts
    scoring: Facts


@dataclass(frozen=True, slots=True)
class RunCard:
    """A run: its circumstances, and the command that makes it again."""

    name: str
    facts: Facts
    command: str


def cards(stores: Sequence[Store]) -> list[Card]:
    """One for each benchmark and protocol, each once where runs share it."""
    return list(dict.fromkeys(_card(cell) for store in stores for cell in store.cells() if not cell.role))


def run_cards(stores: Sequence[Store], names: Sequence[str]) -> list[RunCard]:
    return [
        RunCard(name, tuple(_circumstances(store.manifest)), command(store))
        for store, name in zip(stores, names, strict=True)
    ]


def _card(cell: Cell) -> Card:
    spec = cell.spec
    try:
        task = load_task(spec["task_spec"], spec["options"])
        source = task.protocol(cell.protocol.partition("[")[0]).source
        summary = task.summary
    except UsageError:  # a task file of the user's that is no longer there
        summary = source = ""
    count = spec["records"]
    size = () if count is None else (("samples", f"{count:,}"),)
    limit = () if spec["limit"] is None else (("taken", f"the first {spec['limit']:,}"),)
    metrics = ", ".join(metric["name"] for metric in spec["metrics"])
    views = [("also read as", ", ".join(spec["views"]))] if spec["views"] else []
    printed = [("printed in", f"the report's {spec['report']}")] if spec["report"] else []
    return Card(
        f"{cell.task}:{cell.protocol}",
        summary,
        (*_named(spec["data"], _DATA), *size, *limit),
        (*_named(spec["protocol"], _PROTOCOL), *((("source", source),) if source else ())),
        (
            ("metrics", metrics),
            ("answer read by", spec["extract"]),
            ("judged by", spec["judge"]),
            *views,
            *_plain({"judge model": spec.get("referee"), **spec["notes"]}),
            *printed,
        ),
    )


def _named(values: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, name in names.items():
        if key == "where" and values["kind"] == "small sets":
            continue  # within the package, wherever that is
        if values.get(key) not in (None, "", []):
            yield name, _word(values[key])


def _plain(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((key, _word(value)) for key, value in values.items() if value not in (None, ""))


def _circumstances(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "model", manifest["model"]["name"]
    yield from _plain({key: value for key, value in manifest["model"]["identity"].items() if key != "model"})
    yield from _plain({key: manifest.get(key) for key in ("judge", "started")})
    yield from _plain({"seed of the draws": manifest["seed"]})
    machine = [manifest.get("processor"), f"{manifest['cores']} cores" if manifest.get("cores") else ""]
    yield from _plain({"evalkit ran on": ", ".join(filter(None, [*machine, manifest.get("platform", "")]))})
    versions = {"evalkit": manifest["evalkit"], "Python": manifest.get("python", "")}
    versions |= manifest.get("packages", {})
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(repr(one) if isinstance(one, str) else str(one) for one in value)
    return str(value) if isinstance(value, str | int | float) else orjson.dumps(value).decode()


def command(store: Store) -> str:
    """The command that makes a run like this one, as far as its file knows; keys are in the environment."""
    manifest, cells = store.manifest, [cell for cell in store.cells() if not cell.role]
    words = ["evalkit", "run", "-m", manifest["model"]["name"]]
    words += ["-t", ",".join(dict.fromkeys(_task(cell) for cell in cells))]
    if endpoint := manifest["model"]["identity"].get("endpoint"):
        words += ["--base-url", endpoint]
    if judge := manifest.get("judge"):
        words += ["--judge", judge]
    for setting in dict.fromkeys(setting for cell in cells for setting in _settings(cell)):
        words += ["--set", setting]
    limits = {cell.spec["limit"] for cell in cells}
    if limits - {None}:
        words += ["--limit", str(max(limits - {None}))]
    if manifest["seed"]:
        words += ["--seed", str(manifest["seed"])]
    places = {cell.spec["data"]["kind"]: cell.spec["data"].get("where", "") for cell in cells}
    if "small sets" in places:
        words += ["--data", "samples"]
    elif "folder" in places:
        words += ["--data", "FOLDER"]
    return shlex.join(words)


def _task(cell: Cell) -> str:
    spec, base = str(cell.spec["task_spec"]), cell.protocol.partition("[")[0]
    file = file_of(spec)
    return f"./{file[0].name}:{cell.task}:{base}" if file else f"{spec}:{base}"


def _settings(cell: Cell) -> list[str]:
    """What `--set` changed, from the protocol's name: `8-shot-cot[shots=4, split=test]`."""
    inside = cell.protocol.partition("[")[2].removesuffix("]")
    return [part.strip() for part in inside.split(",") if "=" in part]
