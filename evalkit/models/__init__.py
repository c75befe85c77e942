"""Backends of models. Looking up a name imports none of them."""

from __future__ import annotations

from evalkit.models.base import Model, Request, Response, TokenLogprob
from evalkit.models.opening import open_model
from evalkit.models.registry import BACKENDS, Backend, judge_key

__all__ = ["BACKENDS", "Backend", "Model", "Request", "Response", "TokenLogprob", "judge_key", "open_model"]
