"""What a refusal says about asking again, in the words and headers of the servers that say it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from evalkit.models.waiting import asked_wait, duration, may_pass
from tests.models.test_openai_faults import problem
from tests.openai_server import OpenAIServer

WORDS = {
    "10 requests a minute is the limit. Try again in 40s.": 40.0,
    "Rate limit reached for gpt-4o. Please try again in 7m12.48s. Visit a page.": 432.48,
    "Please try again in 120ms.": 0.12,
    "retry after 1m30s": 90.0,
    "Please retry after 20 seconds.": 20.0,
    "Retry after 20.": 20.0,
    "Please wait 12 seconds": 12.0,
    "Please wait 12 seconds before trying again": 12.0,
    "You have to wait for 2 minutes and 5 seconds": 125.0,
    "Too many requests, try again in a minute": 60.0,
    "Quota exceeded. Please retry in 37.488321s.": 37.488321,
    "Rate limit resets in 30 sec": 30.0,
    "Retrying in 1h2m is advised": 3720.0,
    "Please wait one minute": 60.0,
}
SILENT = (
    "Please try again later.",
    "Limit 30000, used 29000, requested 2000",
    "retry after 2026-01-01T00:00:00Z",
    "The model waits for 3 mice",
    "try again with 5 shots",
)


@pytest.mark.parametrize("said", WORDS)
def test_the_words_of_a_refusal_say_how_long(said: str) -> None:
    body = json.dumps({"error": {"message": said}}).encode()
    assert asked_wait(CIMultiDict(), body) == pytest.approx(WORDS[said])


@pytest.mark.parametrize("said", SILENT)
def test_words_without_a_time(said: str) -> None:
    assert asked_wait(CIMultiDict(), json.dumps({"error": {"message": said}}).encode()) is None


def test_fields_of_the_body() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
    body: dict[str, Any] = {"error": {"code": 429, "message": "Resource exhausted", "details": [info]}}
    assert asked_wait(CIMultiDict(), json.dumps(body, indent=2).encode()) == 37.0
    assert asked_wait(CIMultiDict(), b'{"message": "slow down", "retry_after": 1.5}') == 1.5
    assert asked_wait(CIMultiDict(), b'{"retry_after_ms": 500}') == 0.5


def test_headers_in_any_case_of_letters() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    known = [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "20s"}, 20.0),
        ({"Retry-After": later}, 29.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"X-RateLimit-Reset-Requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-requests": "2s", "x-ratelimit-reset-tokens": "9s"}, 9.0),
        (
            {
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-reset-tokens": "9s",
                "x-ratelimit-remaining-tokens": "100",
            },
            2.0,
        ),
        ({"x-ratelimit-reset-requests": "24h", "Retry-After": "3"}, 3.0),
        ({"ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-reset": str(int(datetime.now(UTC).timestamp() * 1000) + 30_000)}, 29.0),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": (datetime.now(UTC) + timedelta(seconds=30)).isoformat(),
            },
            29.0,
        ),
    ]
    for headers, seconds in known:
        assert asked_wait(CIMultiDict(headers)) == pytest.approx(seconds, abs=1.5), headers
    assert asked_wait(CIMultiDict()) is None


def test_the_longest_that_is_said_counts() -> None:
    assert asked_wait(CIMultiDict({"Retry-After": "1"}), b"Please try again in 30s") == 30.0


def test_durations() -> None:
    assert duration("1h2m3.5s") == 3723.5
    assert duration("250 ms") == 0.25
    assert duration("2 minutes") == 120.0


@pytest.mark.parametrize(
    "status", [408, 409, 425, 429, 498, 499, 500, 501, 502, 503, 504, 507, *range(520, 531), 598]
)
def test_what_passes_is_tried_again(status: int) -> None:
    page = web.Response(status=status, text=f"<html><title>error code: {status}</title></html>")
    with OpenAIServer(lambda *_: page) as server:
        error = problem(server.url)
    assert error.retryable
    assert not error.fatal
    assert error.limited == (status in (429, 498))


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 410, 413, 415, 422])
def test_what_does_not_pass_is_not(status: int) -> None:
    assert not may_pass(status, CIMultiDict(), b"no")


def test_a_single_request_above_the_quota_is_not_waited_for() -> None:
    said = b"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000."
    assert not may_pass(429, CIMultiDict(), said)


def test_a_403_that_names_a_time_is_a_limit() -> None:
    assert may_pass(403, CIMultiDict({"retry-after": "60"}), b"secondary rate limit")
