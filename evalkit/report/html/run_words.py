"""A run in words: which model answered, how, when, and what that cost, as far as its manifest says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from evalkit.models.replicas import REPLICAS
from evalkit.runfile.spent import SPENT

_IN_PROCESS = {
    "hf": "transformers", "vllm": "vLLM", "sglang": "SGLang", "llama-cpp": "llama.cpp",
    "faster-whisper": "faster-whisper",
}  # fmt: skip
"""Backends that compute the responses on the machine of the run, with the programs that do it."""
_OTHERS = {
    "fake": "evalkit's stand-in for a model gave the responses, from the references of the data",
    "replay": "the responses are those of an earlier run, and nothing was sent",
    "hypotheses": "the responses were read from a file",
    "python": "an object of Python gave the responses",
    "command": "a program of the user's gave the responses",
    "lm-eval": "a model class of lm-evaluation-harness gave the responses",
}
"""Other backends of evalkit, as a clause."""


def in_words(manifest: Mapping[str, Any]) -> str:
    """Two or three sentences; what the manifest does not know is left out."""
    name, identity = manifest["model"]["name"], manifest["model"]["identity"]
    sentences = [f"{name}: {_answered(identity)}"]
    if judges := manifest.get("judges"):
        listed = ", ".join(f"{judge} ({role})" for role, judge in judges.items())
        sentences.append(f"judged by {listed}")
    if began := _when(manifest.get("started")):
        seed = f", with seed {manifest['seed']} for its draws" if manifest.get("seed") else ""
        sentences.append(f"the run began on {began}{seed}")
    if isinstance(cost := manifest.get(SPENT), int | float) and cost > 0:
        sentences.append(f"its responses cost {_dollars(cost)} by the prices that evalkit knew")
    first, *others = sentences
    return " ".join(f"{sentence}." for sentence in (first, *(one[0].upper() + one[1:] for one in others)))


def _answered(identity: Mapping[str, Any]) -> str:
    backend = str(identity.get("backend", ""))
    if tool := identity.get("imported"):
        return f"the responses were made by {tool} and imported"
    if backend in _OTHERS:
        return _OTHERS[backend]
    if endpoint := identity.get("endpoint"):
        place = urlsplit(str(endpoint)).netloc.rpartition("@")[2] or str(endpoint)
        where = "several replicas of one endpoint" if endpoint == REPLICAS else place
        asked = f"the model {identity['model']} at " if identity.get("model") else ""
        return f"the responses came over HTTP from {asked}{where}, by the backend {backend}"
    details = ", ".join(_details(identity))
    by = _IN_PROCESS.get(backend)
    if by is None:
        return f"the backend {backend} gave the responses{', with ' + details if details else ''}"
    version = identity.get("transformers" if backend == "hf" else backend)
    used = f"{by} {version}" if version else by
    how = f", {details}" if details else ""
    return f"the responses were computed on the machine of the run with {used}{how}"


def _details(identity: Mapping[str, Any]) -> list[str]:
    arguments = identity.get("arguments")
    known = {**(arguments if isinstance(arguments, Mapping) else {}), **identity}
    found = []
    if weights := known.get("weights"):
        found.append(f"weights {str(weights)[:12]}")
    if revision := known.get("revision"):
        found.append(f"revision {revision}")
    dtype = known.get("dtype") or known.get("compute_type")
    if dtype not in (None, "auto", "default"):
        found.append(f"in {dtype}")
    if bits := known.get("bits"):
        found.append(f"quantised to {bits} bits")
    if quantisation := known.get("quantization"):
        found.append(f"quantised by {quantisation}")
    if context := known.get("context") or known.get("max_model_len") or known.get("context_length"):
        found.append(f"with a context of {context} tokens")
    if known.get("adapter"):
        found.append("with an adapter")
    return found


def _when(started: object) -> str:
    try:
        began = datetime.fromisoformat(str(started))
    except ValueError:
        return ""
    began = began.astimezone(UTC)
    return f"{began.day} {began:%B %Y at %H:%M} UTC"


def _dollars(cost: float) -> str:
    return f"{cost:,.2f} USD" if cost >= 0.1 else f"{cost:.2g} USD"
