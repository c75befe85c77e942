"""A program as a model: its lines, in real processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import shlex
import sys
from pathlib import Path

import pytest

from evalkit.errors import ProviderError
from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.samples import Audio, Image, Message, Speech, Tool, ToolCall
from tests.commanded import (
    CHAT,
    START,
    all_answers,
    answer,
    answers,
    failure,
    program,
    refusal,
    replying,
    seen,
)
from tests.processes import gone


def test_a_chat_arrives_with_its_settings(tmp_path: Path) -> None:
    messages = (Message("system", "Be brief."), Message("user", "Grüße, 你好"))
    request = Request(messages, 8, 0.5, 0.9, ("\n",), seed=7)
    assert seen(tmp_path, request) == {
        "id": 1,
        "api": "chat",
        "prompt": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Grüße, 你好"},
        ],
        "max_tokens": 8,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["\n"],
        "logprobs": 0,
        "seed": 7,
        "draw": 0,
    }


def test_tools_go_there_and_back(tmp_path: Path) -> None:
    turns = (
        Message("user", "?"),
        Message("assistant", "", (ToolCall("add", "{}", "a"),)),
        Message("tool", "4", tool_call_id="a"),
    )
    request = Request(turns, 8, tools=(Tool("add", "adds", {"type": "object"}),))
    there = seen(tmp_path, request)
    assert there["tools"] == [{"name": "add", "description": "adds", "parameters": {"type": "object"}}]
    assert there["prompt"][1]["tool_calls"] == [{"name": "add", "arguments": "{}", "id": "a"}]
    assert there["prompt"][2]["tool_call_id"] == "a"
    back = answer(
        replying(tmp_path, "{'tool_calls': [{'name': 'add', 'arguments': '[1', 'id': 'b'}]}"), request
    )
    assert back.tool_calls == (ToolCall("add", "[1", "b"),)
    assert back.text == ""


def test_media_are_files_that_only_the_user_can_read_until_the_answer(tmp_path: Path) -> None:
    reply = """{'text': json.dumps([
        [part if 'text' in part else [*part, open([*part.values()][0], 'rb').read().decode('latin1'),
         [*part.values()][0], oct(os.stat(os.path.dirname([*part.values()][0])).st_mode & 0o777)]
         for part in request['prompt'][0]['content']]])}"""
    content = ("Which?", Image(b"\x89PNG 1"), Image(b"\xff\xd8 2"))
    ((text, png, jpeg),) = json.loads(
        answer(replying(tmp_path, reply), Request((Message("user", content),), 8)).text
    )
    assert text == {"text": "Which?"}
    assert (png[0], png[1], png[3]) == ("image", "\x89PNG 1", "0o700")
    assert (jpeg[0], jpeg[1]) == ("image", "\xff\xd8 2")
    assert png[2].endswith(".png")
    assert jpeg[2].endswith(".jpg")
    assert not Path(png[2]).parent.exists()  # removed with the process


def test_a_clip_to_transcribe_is_a_file(tmp_path: Path) -> None:
    reply = "{'text': repr((request['prompt']['language'], open(request['prompt']['audio'], 'rb').read()))}"
    hello = '{"evalkit": 1, "capabilities": ["transcription"]}'
    request = Request(Speech(Audio(b"RIFF 1"), language="de"), 8)
    assert answer(replying(tmp_path, reply, hello), request).text == repr(("de", b"RIFF 1"))


def test_likelihoods_tokens_and_counts_come_back(tmp_path: Path) -> None:
    rated = "{'likelihoods': [{'logprob': -1.5, 'tokens': 2, 'greedy': True}, {'logprob': '-inf'}]}"
    both = answer(replying(tmp_path, rated), Request("The", 0, continuations=(" cat", " dog"))).likelihoods
    assert [(one.text, one.logprob, one.tokens, one.greedy) for one in both] == [
        (" cat", -1.5, 2, True),
        (" dog", -math.inf, None, None),
    ]
    told = """{'text': 'ab', 'finish': 'length', 'reasoning': 'hm',
        'prompt_tokens': 3, 'completion_tokens': 2,
        'logprobs': [{'token': 'ab', 'logprob': -0.5, 'top': {'ab': -0.5}}],
        'prompt_logprobs': [{'token': 'x'}]}"""
    found = answer(replying(tmp_path, told), Request("x", 8, logprobs=1, echo=True))
    assert (found.text, found.finish, found.reasoning) == ("ab", "length", "hm")
    assert (found.prompt_tokens, found.completion_tokens) == (3, 2)
    assert found.logprobs[0].top == {"ab": -0.5}
    assert math.isnan(found.prompt_logprobs[0].logprob)


@pytest.mark.parametrize(
    ("kind", "marks"),
    [
        ("once", {"retryable"}),
        ("request", set()),
        ("too_long", {"too_long"}),
        ("refused", {"refused"}),
        ("all", {"fatal"}),
    ],
)
def test_a_failure_is_of_the_kind_that_the_program_says(tmp_path: Path, kind: str, marks: set[str]) -> None:
    error = failure(replying(tmp_path, f"{{'error': 'no\\nmemory', 'kind': '{kind}'}}"))
    assert str(error).endswith("program.py: no memory")
    assert {name for name in ("retryable", "too_long", "refused", "fatal") if getattr(error, name)} == marks


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("{}", "returned neither text nor error"),
        ("{'text': 4}", "its answer: text = 4 must be a text"),
        ("{'text': 'a', 'finish': 'done'}", "finish = 'done' must be one of stop, length, filter, other"),
        ("{'text': 'a', 'txet': 'b'}", "unknown key in its answer 'txet': did you mean text?"),
        ("{'error': 'no', 'kind': 'odd'}", "kind = 'odd' must be one of once, request"),
        ("{'text': 'a', 'likelihoods': [{'logprob': -1}]}", "returned 1 likelihoods for 0 continuations"),
        ("{'text': 'a', 'prompt_tokens': 'few'}", "prompt_tokens = 'few' must be an integer"),
    ],
)
def test_a_wrong_field_fails_only_its_request(tmp_path: Path, reply: str, said: str) -> None:
    spec = replying(tmp_path, f"({reply} if request['max_tokens'] == 8 else {{'text': str(os.getpid())}})")
    other = Request((Message("user", "?"),), 9)
    first, wrong, last = answers(spec, other, CHAT, other)
    assert isinstance(wrong, ProviderError)
    assert said in str(wrong)
    assert not wrong.fatal
    assert not wrong.retryable
    assert isinstance(first, Response)
    assert isinstance(last, Response)
    assert first.text == last.text  # the same process


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("'nan'", "returned nan as the logarithm of a probability, which is at most 0"),
        ("'inf'", "returned inf as the logarithm"),
        ("0.5", "returned 0.5 as the logarithm"),
        ("-1.0, 'tokens': 0", "returned 0 as the number of tokens of a continuation"),
        ("-1.0, 'tokens': 1 << 41", "returned 2199023255552 as the number of tokens"),
    ],
)
def test_numbers_that_cannot_be_fail_their_request(tmp_path: Path, told: str, said: str) -> None:
    rated = f"{{'likelihoods': [{{'logprob': {told}}}]}}"
    error = failure(replying(tmp_path, rated), Request("The", 0, continuations=(" cat",)))
    assert said in str(error)
    if "tokens" not in told:
        token = f"{{'text': 'a', 'logprobs': [{{'token': 'a', 'logprob': -1, 'top': {{'b': {told}}}}}]}}"
        assert said in str(failure(replying(tmp_path, token)))


def test_answers_come_in_any_order_and_as_many_are_asked_as_it_says(tmp_path: Path) -> None:
    body = """
    while True:
        three = [asked() for _ in range(3)]
        for request in reversed(three):
            say(json.dumps({"id": request["id"], "text": request["prompt"][0]["content"]}))
    """
    spec = program(tmp_path, body, '{"evalkit": 1, "parallel": 3}')
    model = open_model(spec)
    assert model.parallel == 3
    requests = [Request((Message("user", f"q{number}"),), 8) for number in range(9)]
    found = asyncio.run(asyncio.wait_for(all_answers(model, requests, True), 60))
    assert [one.text for one in found if isinstance(one, Response)] == [f"q{number}" for number in range(9)]


def test_never_more_at_once_than_it_says(tmp_path: Path) -> None:
    body = """
    import select
    while True:
        request = asked()
        more = select.select([0], [], [], 0.1)[0]
        say(json.dumps({"id": request["id"], "text": "more" if more else "alone"}))
    """
    found = answers(program(tmp_path, body), *[CHAT] * 4, at_once=True)
    assert [one.text for one in found if isinstance(one, Response)] == ["alone"] * 4


def test_several_processes_have_numbers_and_share_the_requests(tmp_path: Path) -> None:
    body = """
    open(os.path.dirname(__file__) + "/" + os.environ["EVALKIT_PROCESS"], "w").close()
    while True:
        request = asked()
        while len(os.listdir(os.path.dirname(__file__))) < 4:
            time.sleep(0.01)
        say(json.dumps({"id": request["id"], "text": os.environ["EVALKIT_PROCESS"]}))
    """
    spec = program(tmp_path, body) + "?processes=3"
    assert open_model(spec).parallel == 3
    found = answers(spec, *[CHAT] * 3, at_once=True)
    assert {one.text for one in found if isinstance(one, Response)} == {"0", "1", "2"}


def test_processes_that_say_different_things_are_not_one_model(tmp_path: Path) -> None:
    hello = "json.dumps({'evalkit': 1, 'identity': {'pid': os.getpid()}})"
    spec = program(tmp_path, "").replace("say(", "")
    (tmp_path / "program.py").write_text(
        f"{START}\nsay({hello})\nwhile True:\n"
        "    request = asked()\n    say(json.dumps({'id': request['id'], 'text': ''}))\n"
    )
    _, second = answers(f"{spec}?processes=2", CHAT, CHAT, at_once=True)
    assert isinstance(second, ProviderError)
    assert second.fatal
    assert "the first lines of two of its processes differ: identity" in str(second)


def test_the_identity_is_the_words_the_digests_of_files_and_what_it_says(tmp_path: Path) -> None:
    hello = '{"evalkit": 1, "identity": {"weights": "w1"}}'
    spec = replying(tmp_path, "{'text': ''}", hello)
    identity = open_model(spec).identity
    words = shlex.split(spec.removeprefix("command:"))
    digest = hashlib.sha256((tmp_path / "program.py").read_bytes()).hexdigest()
    assert identity["command"] == words
    assert isinstance(identity["files"], dict)
    assert identity["files"][words[-1]] == digest
    assert identity["own"] == {"weights": "w1"}
    (tmp_path / "program.py").write_text((tmp_path / "program.py").read_text() + "# edited\n")
    assert open_model(spec).identity != identity


def test_the_program_gets_no_key_but_those_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-the-program")
    monkeypatch.setenv("MINE_TOKEN", "for-the-program-1")
    monkeypatch.setenv("MODEL_SIZE", "small")
    spec = replying(tmp_path, "{'text': json.dumps(dict(os.environ))}")
    plain = json.loads(answer(spec).text)
    assert "OPENAI_API_KEY" not in plain
    assert "MINE_TOKEN" not in plain
    assert plain["MODEL_SIZE"] == "small"
    named = json.loads(answer(f"{spec}?keys=MINE_TOKEN").text)
    assert named["MINE_TOKEN"] == "for-the-program-1"
    assert "OPENAI_API_KEY" not in named
    assert refusal(f"{spec}?keys=NO_KEY").endswith("no variable NO_KEY: set it, or leave it out")


def test_words_are_split_as_by_a_shell_and_none_runs(tmp_path: Path) -> None:
    spec = replying(tmp_path, "{'text': json.dumps(sys.argv[1:])}")
    found = answer(f"{spec} 'two words' $HOME ; * a?b=c?")
    assert json.loads(found.text) == ["two words", "$HOME", ";", "*", "a?b=c"]


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("", "no model: write command:PROGRAM"),
        ("?processes=2", "names no program: write command:PROGRAM"),
        ("no-such-program --x", "there is no program 'no-such-program' that can be run"),
        ("/etc/passwd", "there is no program '/etc/passwd' that can be run"),
        ("cat 'open", "cannot be split into words: no closing quotation"),
        ("cat?processes=0", "processes must be from 1 to 256"),
        ("cat?processes=two", "processes must be an integer, not 'two'"),
        ("cat?proceses=2", "unknown option of command: 'proceses': did you mean processes?"),
        ("cat?start=0.2", "wrote no first line in 0.2 s"),
        ("cat?start=-1", "start must be a number of seconds above 0"),
        ("cat?start=nan", "start must be a number of seconds above 0"),
    ],
)
def test_what_cannot_be_opened(rest: str, said: str) -> None:
    assert said in refusal(f"command:{rest}")


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        ("hello", "wrote a line that is not JSON"),
        ("[1]", "wrote a line that is no JSON object: '[1]'"),
        ("{}", "its first line has no evalkit"),
        ('{"evalkit": 2}', "speaks version 2 of the protocol, not 1"),
        ('{"evalkit": 1, "capabilities": ["chta"]}', "unknown capability 'chta': did you mean chat?"),
        ('{"evalkit": 1, "parallel": 0}', "says parallel=0: it must be from 1 to 4096"),
        ('{"evalkit": 1, "paralel": 2}', "did you mean parallel?"),
    ],
)
def test_a_first_line_that_is_none_says_what_one_is(tmp_path: Path, hello: str, said: str) -> None:
    found = refusal(program(tmp_path, "asked()", hello))
    assert said in found
    assert found.endswith('its first line must be {"evalkit": 1}: see docs/command.md')


def test_a_program_that_ends_at_once_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "import sys\nprint('loading', file=sys.stderr)\nraise ValueError('no weights')\n"
    )
    found = refusal(f"command:{shlex.quote(sys.executable)} -I {tmp_path / 'broken.py'}")
    assert "ended (exit status 1)" in found
    assert "ValueError: no weights" in found


def test_a_model_serves_one_event_loop_after_the_other(tmp_path: Path) -> None:
    model = open_model(replying(tmp_path, "{'text': str(os.getpid())}"))

    async def ask() -> str:
        return (await model.generate(CHAT)).text

    first, second = asyncio.run(ask()), asyncio.run(ask())
    assert first == second
    asyncio.run(model.aclose())
    again = asyncio.run(ask())  # a request after `aclose` starts it again
    assert again != first
    asyncio.run(model.aclose())
    assert gone(int(again))
