"""Keeps what probes found for a day, in evalkit's cache folder: one file for each endpoint, model and key.

A key is known by the name of its variable alone. Addresses with a password or a key in them are refused
before anything is asked (`evalkit.models.address`), and keys that a server repeats are left out.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

from evalkit.convert import from_json, to_json
from evalkit.data.cache import cache_folder
from evalkit.errors import UsageError
from evalkit.keys import redacted
from evalkit.models.http_model import HTTPModel
from evalkit.probing.found import Probe
from evalkit.scratch import replacing

KEPT = 24 * 3600.0
"""Seconds."""
_FORMAT = 1
"""Rises when a trial asks or concludes something else, so that older answers are not used."""


def place_of(model: HTTPModel) -> Path:
    """The file of a model's probe."""
    known = json.dumps([_FORMAT, model.base_url, model.name, model.endpoint.key_env])
    return cache_folder() / "probes" / f"{hashlib.sha256(known.encode()).hexdigest()[:32]}.json"


def cached_probe(model: HTTPModel, now: float | None = None) -> Probe | None:
    """The probe of the last day; None if there is none, or its file is damaged."""
    now = time.time() if now is None else now
    try:
        found = from_json(Probe, json.loads(place_of(model).read_bytes()), "a probe")
    except (OSError, ValueError, RecursionError, UsageError):
        return None
    fresh = 0 <= now - found.at < KEPT
    return found if fresh and (found.endpoint, found.model) == (model.base_url, model.name) else None


def keep(model: HTTPModel, probe: Probe) -> None:
    """Writes the probe. Raises `OSError`."""
    place = place_of(model)
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as part:
        part.write_text(redacted(json.dumps(to_json(probe))), encoding="utf-8")
