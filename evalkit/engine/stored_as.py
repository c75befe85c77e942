"""The keys under which responses are stored, where they are not those of the request alone."""

from __future__ import annotations

import orjson

from evalkit.models.base import Model, hashed
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import asker
from evalkit.samples import JSON, JUDGE


def judge_stored_as(body: bytes, role: str, identity: JSON) -> tuple[bytes, bytes]:
    """Returns the (key, body) that a request to the judge model of `role` is stored under.

    They include its `identity`, because a run may later be scored by another judge.
    """
    asked = {**orjson.loads(body), "judge": identity}
    if role != JUDGE:
        asked["role"] = role
    return hashed(asked)


class Keys:
    """The keys of one model's responses. `judge`: its role, "" for the evaluated model.

    `by_id`: whether it answers by the sample's id.
    """

    def __init__(self, model: Model, store: Store, judge: str, *, by_id: bool) -> None:
        self._model, self._store, self._judge, self._by_id = model, store, judge, by_id
        self._askers: dict[bytes, str] = {}

    def stored_as(self, key: bytes, body: bytes, sample: str) -> tuple[bytes, bytes]:
        """Returns the (key, body) that a request for the sample with the id `sample` is stored under.

        A model that answers by id may answer two samples with the same prompt differently: key and body of
        the second one include its id.
        """
        if self._judge:
            return judge_stored_as(body, self._judge, self._model.identity)
        if self._by_id and self._first_asked(key, sample) != sample:
            return hashed({**orjson.loads(body), "sample": sample})
        return key, body

    def _first_asked(self, key: bytes, sample: str) -> str:
        """The first sample that a request was for, `sample` if there is none yet."""
        if key not in self._askers:
            self._askers[key] = asker(self._store, key) or sample
        return self._askers[key]
