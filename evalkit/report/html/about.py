"""Describes the provenance of figures: the data, protocols and runs, and the commands that repeat them."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from evalkit.benchmark.described import description
from evalkit.benchmark.names import file_of
from evalkit.benchmark.spec import CellSpec, signed_settings
from evalkit.benchmark.task import judge_argument
from evalkit.models.replicas import REPLICAS
from evalkit.report.html.run_words import in_words
from evalkit.runfile.records import SHARD
from evalkit.runfile.replica_use import called, replica_uses
from evalkit.runfile.store import Cell, Store

Facts = tuple[tuple[str, str], ...]
"""(name, value) pairs, in the order in which they are shown."""

_DATA = {
    "name": "data set", "config": "configuration", "split": "split", "revision": "revision",
    "kind": "source", "where": "location", "made": "made with", "lock": "lock",
}  # fmt: skip
_PROTOCOL = {
    "api": "API", "shots": "solved examples", "draws": "draws", "temperature": "temperature",
    "top_p": "top p", "max_tokens": "max. tokens", "stop": "stop sequences",
    "logprobs": "alternatives per token", "likelihood": "likelihoods from", "fallback": "fallback",
    "threshold": "threshold", "max_pixels": "max. pixels", "resample": "resampling",
    "language_hint": "language hint",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
    """A benchmark under one protocol: its description, data, protocol and scoring.

    `about`: what this version of evalkit says of the benchmark, in Markdown; "" if another card says it.
    """

    name: str
    summary: str
    about: str
    data: Facts
    protocol: Facts
    scoring: Facts


@dataclass(frozen=True, slots=True)
class RunCard:
    """A run: its provenance, in words and as facts, and the command that repeats it."""

    name: str
    about: str
    facts: Facts
    command: str


def cards(stores: Sequence[Store]) -> list[Card]:
    """One card for each benchmark and protocol; runs with the same benchmark share its card."""
    found = dict.fromkeys(_card(cell) for store in stores for cell in store.cells() if not cell.role)
    first: dict[str, Card] = {}
    for card in found:
        first.setdefault(card.about, card)
    return [card if first[card.about] is card else dataclasses.replace(card, about="") for card in found]


def run_cards(stores: Sequence[Store], names: Sequence[str]) -> list[RunCard]:
    return [
        RunCard(
            name, in_words(store.manifest), (*_provenance(store.manifest), *_replicas(store)), command(store)
        )
        for store, name in zip(stores, names, strict=True)
    ]


def _card(cell: Cell) -> Card:
    spec = cell.spec
    size = () if spec.records is None else (("samples", f"{spec.records:,}"),)
    limit = () if spec.limit is None else (("limit", f"the first {spec.limit:,}"),)
    variants = [("variants", ", ".join(variant.name for variant in spec.variants))] if spec.variants else []
    printed = [("printed in", f"the report's {spec.report}")] if spec.report else []
    asked = {**signed_settings(spec.protocol), "solver": spec.solver, "reader": spec.reader}
    asked["prompt"] = spec.prompt
    if spec.imported:
        asked = {}
    return Card(
        spec.label,
        spec.summary,
        "" if spec.imported else description(spec.source),
        (*_named(spec.data, _DATA), *size, *limit),
        (
            *_named({**asked, "fallback": spec.fallback}, _PROTOCOL),
            *_plain({"source": spec.protocol.source, **spec.imported}),
        ),
        (
            ("metrics", ", ".join(metric.name for metric in spec.metrics)),
            ("answer read by", spec.extract),
            ("scored by", spec.scorer),
            *variants,
            *_plain({"judge model": spec.model_extractor, **spec.notes}),
            *printed,
        ),
    )


def _named(values: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, name in names.items():
        if key == "where" and values.get("kind") == "small sets":
            continue  # the small sets are inside the package, so their path says nothing
        if values.get(key) not in (None, "", []):
            yield name, _word(values[key])


def _plain(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((key, _word(value)) for key, value in values.items() if value not in (None, ""))


def _provenance(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "model", manifest["model"]["name"]
    yield from _plain({key: value for key, value in manifest["model"]["identity"].items() if key != "model"})
    moves = ", ".join(f"{move['endpoint']} from {move['since']} on" for move in manifest.get("moves", ()))
    judges = ", ".join(
        f"{move['judge']}: {move['endpoint']} from {move['since']} on"
        for move in manifest.get("judge moves", ())
    )
    yield from _plain({"the endpoint moved to": moves, "judge models moved to": judges})
    judges = ", ".join(f"{role}: {name}" for role, name in (manifest.get("judges") or {}).items())
    yield from _plain({"judge models": judges, "started": manifest.get("started")})
    yield from _plain({"seed of the draws": manifest["seed"]})
    machine = [manifest.get("processor"), f"{manifest['cores']} cores" if manifest.get("cores") else ""]
    yield from _plain({"evalkit ran on": ", ".join(filter(None, [*machine, manifest.get("platform", "")]))})
    versions = {"evalkit": manifest["evalkit"], "Python": manifest.get("python", "")}
    versions |= manifest.get("packages", {})
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _replicas(store: Store) -> Iterator[tuple[str, str]]:
    for use in replica_uses(store):
        yield called(use.address).partition(" ")[0], use.line()


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(repr(one) if isinstance(one, str) else str(one) for one in value)
    return str(value) if isinstance(value, str | int | float) else orjson.dumps(value).decode()


def _scored(spec: CellSpec) -> str:
    """The entry of `evalkit rescore -t` that scored imported responses."""
    imported = str(spec.imported.get("task", ""))
    return f"{'*' if ', ' in imported else imported}={spec.source}:{spec.reading}"


def command(store: Store) -> str:
    """The command that repeats a run, as far as its file records it; keys are in the environment."""
    manifest, cells = store.manifest, [cell for cell in store.cells() if not cell.role]
    if scored := [_scored(cell.spec) for cell in cells if cell.spec.scored_as]:
        run = manifest.get("rescored", {}).get("from", "RUN.db")
        return shlex.join(["evalkit", "rescore", run, "-t", ",".join(scored), "-o", store.path.name])
    if imported := [cell.spec.data.get("where", "FOLDER") for cell in cells if cell.spec.imported]:
        return shlex.join(["evalkit", "import", *dict.fromkeys(imported), "-o", store.path.name])
    words = ["evalkit", "run", "-m", manifest["model"]["name"]]
    words += ["-t", ",".join(dict.fromkeys(_task(cell) for cell in cells))]
    if endpoint := manifest["model"]["identity"].get("endpoint"):
        last = [endpoint, *(move["endpoint"] for move in manifest.get("moves", ()))][-1]
        replicas = [use.address for use in replica_uses(store)] if last == REPLICAS else []
        for address in replicas or [last]:
            words += ["--base-url", address]
    for role, judge in (manifest.get("judges") or {}).items():
        words += ["--judge", judge_argument(role, judge)]
    for key, text in {pair: None for cell in cells for pair in cell.spec.protocol.overrides.items()}:
        words += ["--set", f"{key}={text}"]
    limits = [cell.spec.limit for cell in cells if cell.spec.limit is not None]
    if limits:
        words += ["--limit", str(max(limits))]
    if shard := manifest.get(SHARD):
        words += ["--shard", shard]
    if manifest["seed"]:
        words += ["--seed", str(manifest["seed"])]
    places = {cell.spec.data.get("kind") for cell in cells}
    if "small sets" in places:
        words += ["--data", "builtin"]
    elif "folder" in places:
        words += ["--data", "FOLDER"]
    return shlex.join(words)


def _task(cell: Cell) -> str:
    file = file_of(cell.spec.source)
    return f"./{file[0].name}:{cell.spec.name}" if file else f"{cell.spec.source}:{cell.protocol}"
