"""The keys under which responses are stored, where they are not those of the request alone."""

from __future__ import annotations

import hashlib

import orjson

from evalkit.models.base import Model
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import asker
from evalkit.samples import JUDGE


class Keys:
    """The keys of one model's responses. `judge`: its role, "" for the evaluated model.

    `by_id`: whether it answers by the sample's id.
    """

    def __init__(self, model: Model, store: Store, judge: str, *, by_id: bool) -> None:
        self._model, self._store, self._judge, self._by_id = model, store, judge, by_id
        self._askers: dict[bytes, str] = {}

    def stored_as(self, key: bytes, body: bytes, sample: str) -> tuple[bytes, bytes]:
        """Returns the (key, body) that a request for the sample with the id `sample` is stored under.

        A judge's key and body include its model, because a run may later be scored by another judge. A model
        that answers by id may answer two samples with the same prompt differently: those of the second one
        include its id.
        """
        if self._judge:
            asked = {**orjson.loads(body), "judge": self._model.identity}
            if self._judge != JUDGE:
                asked["role"] = self._judge
        elif self._by_id and self._first_asked(key, sample) != sample:
            asked = {**orjson.loads(body), "sample": sample}
        else:
            return key, body
        whole = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(whole).digest()[:16], whole

    def _first_asked(self, key: bytes, sample: str) -> str:
        """The first sample that a request was for, `sample` if there is none yet."""
        if key not in self._askers:
            self._askers[key] = asker(self._store, key) or sample
        return self._askers[key]
