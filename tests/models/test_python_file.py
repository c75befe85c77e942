"""Models in a user's file: what may stand there, what is refused, and what becomes of its errors."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from textwrap import dedent

import pytest

from evalkit.errors import MediaError, ProviderError, UsageError
from evalkit.models import open_model
from evalkit.models.base import Model, Request, Response
from evalkit.models.python_file import UserFunction
from evalkit.samples import Image, Message
from evalkit.session import run

CHAT = Request((Message("user", (Image(b"\x89PNG"), "What is it?")),), 8)
MODEL = """
    from evalkit.models.base import Response

    class Parrot:
        name, capabilities, parallel = "parrot", frozenset({"chat", "completion"}), 3
        identity = {"weights": "none"}
        closed = False
        async def generate(self, request, *, draw=0):
            return Response(f"{request.prompt} {draw}")
        async def aclose(self):
            self.closed = True
"""


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    file = folder / name
    file.write_text(dedent(text), "utf-8")
    return file


def opened(folder: Path, text: str, attribute: str = "answer") -> Model:
    return open_model(f"python:{written(folder, text)}:{attribute}")


def said(model: Model, request: Request = CHAT, draw: int = 0) -> str:
    async def ask() -> Response:
        try:
            return await model.generate(request, draw=draw)
        finally:
            await model.aclose()

    return asyncio.run(asyncio.wait_for(ask(), 30)).text


def refusal(rest: str) -> str:
    with pytest.raises(UsageError) as refused:
        open_model(f"python:{rest}")
    assert "\n" not in str(refused.value)
    return str(refused.value)


def failure(model: Model) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        said(model)
    assert "\n" not in str(failed.value)
    return failed.value


def test_a_function_gets_the_prompt_as_it_is(tmp_path: Path) -> None:
    model = opened(tmp_path, "def answer(prompt): return repr((type(prompt), prompt))")
    assert said(model) == repr((tuple, CHAT.prompt))
    assert model.capabilities == {"chat", "image"}
    assert model.parallel == 1
    assert model.name == f"python:{tmp_path / 'mine.py'}:answer"


def test_an_async_function_takes_as_many_as_come(tmp_path: Path) -> None:
    text = """
        async def answer(prompt): return prompt[0].content[1]
        class Caller:
            async def __call__(self, prompt): return "called"
        caller = Caller()
    """
    model = opened(tmp_path, text)
    assert model.parallel is None
    assert said(model) == "What is it?"
    assert opened(tmp_path, text, "caller").parallel is None
    assert said(opened(tmp_path, text, "caller")) == "called"
    assert said(opened(tmp_path, text, "Caller")) == "called"


@pytest.mark.parametrize(("mark", "most"), [("", 1), ("answer.parallel = 2", 2)])
def test_plain_functions_run_one_at_a_time_or_as_they_say(tmp_path: Path, mark: str, most: int) -> None:
    text = f"""
        import threading, time
        now, seen, lock, together = set(), [], threading.Lock(), threading.Event()
        def answer(prompt):
            me = object()
            with lock:
                now.add(me); seen.append(len(now))
                if len(now) == {most}: together.set()
            together.wait(20)
            time.sleep(0.02)
            with lock:
                now.discard(me)
            return f"{{max(seen)}} {{threading.current_thread() is threading.main_thread()}}"
        {mark}
    """
    model = opened(tmp_path, text)

    async def several() -> list[str]:
        answers = await asyncio.gather(*(model.generate(CHAT) for _ in range(6)))
        await model.aclose()
        return [answer.text for answer in answers]

    assert model.parallel == most
    assert asyncio.run(several())[-1] == f"{most} False"


def test_a_slow_function_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    opened_gate = threading.Event()
    model = UserFunction(lambda prompt: str(opened_gate.wait(20)), "python:x", {})

    async def open_the_gate() -> str:
        answer = asyncio.ensure_future(model.generate(CHAT))
        await asyncio.sleep(0.01)
        opened_gate.set()
        return (await answer).text

    assert asyncio.run(open_the_gate()) == "True"
    asyncio.run(model.aclose())


def test_it_is_cut_at_the_first_stop_text(tmp_path: Path) -> None:
    model = opened(
        tmp_path, "def answer(prompt): return prompt + 'one.two;three'\nanswer.capabilities = ['completion']"
    )
    assert model.capabilities == {"chat", "image", "completion"}
    assert said(model, Request("A: ", 8, stop=(";", ".", "?"))) == "A: one"


@pytest.mark.parametrize("attribute", ["parrot", "Parrot", "make"])
def test_a_model_an_object_a_class_or_a_factory(tmp_path: Path, attribute: str) -> None:
    model = opened(tmp_path, MODEL + "\n    parrot = Parrot()\n    def make(): return parrot\n", attribute)
    assert model.capabilities == {"chat", "completion"}
    assert model.parallel == 3
    assert model.name.endswith(f".py:{attribute}")
    assert said(model, Request("hello", 8), draw=2) == "hello 2"


def test_the_identity_is_the_file_and_not_its_place(tmp_path: Path) -> None:
    text = "def answer(prompt): return ''\nother = answer\n"
    (tmp_path / "elsewhere").mkdir()
    first = opened(tmp_path, text)
    assert first.identity == opened(tmp_path / "elsewhere", text).identity
    assert first.identity != opened(tmp_path, text, "other").identity
    assert first.identity != opened(tmp_path / "elsewhere", text + "# more\n").identity
    assert str(tmp_path) not in str(first.identity)
    weighed = opened(tmp_path / "elsewhere", text + "answer.identity = {'weights': (1, 2)}\n")
    assert weighed.identity["own"] == {"weights": [1, 2]}
    assert opened(tmp_path, MODEL, "Parrot").identity["own"] == {"weights": "none"}


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("raise ValueError('no\\n  such picture')", "ValueError: no such picture"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyError", "KeyError"),
        ("return next(iter(()))", "StopIteration"),
        ("return 3", "returned int, not a text"),
        ("return None", "returned NoneType, not a text"),
        ("assert False, 'x' * 100_000", "AssertionError: xxx"),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_errors_of_the_function_are_one_line_and_one_sample(
    tmp_path: Path, kind: str, body: str, line: str
) -> None:
    failed = failure(opened(tmp_path, f"{kind} answer(prompt):\n    {body}\n"))
    assert line in str(failed)
    assert len(str(failed)) < 500 + len(str(tmp_path))
    assert not failed.retryable
    assert not failed.fatal


def test_what_no_request_can_fix_ends_the_run(tmp_path: Path) -> None:
    text = "from evalkit.errors import UsageError\ndef answer(prompt): raise UsageError('pip install eyes')\n"
    failed = failure(opened(tmp_path, text))
    assert failed.fatal
    assert str(failed).endswith(":answer: pip install eyes")


def test_errors_of_evalkits_own_kinds_stay_what_they_are(tmp_path: Path) -> None:
    text = "from evalkit.errors import MediaError\ndef answer(prompt): raise MediaError('half a picture')\n"
    with pytest.raises(MediaError, match=r"^half a picture$"):
        said(opened(tmp_path, text))


def test_errors_of_a_model_become_the_contracts(tmp_path: Path) -> None:
    bad = MODEL.replace('return Response(f"{request.prompt} {draw}")', "return 1 / 0 if draw else 'text'")
    model = opened(tmp_path, bad, "Parrot")
    with pytest.raises(ProviderError, match=r"Parrot: ZeroDivisionError: division by zero$"):
        said(model, draw=1)
    with pytest.raises(ProviderError, match="returned str, not a Response"):
        said(model)


@pytest.mark.parametrize(
    ("text", "attribute", "line"),
    [
        ("answer = 3", "answer", "is a int: python:FILE.py:NAME needs a function or a model"),
        ("def answer(prompt): ...", "anwser", "unknown model in {file} 'anwser': did you mean answer?"),
        ("x = 1", "answer", "unknown model in {file} 'answer': {file} defines no answer"),
        ("def answer(prompt, image): ...", "answer", "cannot be called with only a prompt"),
        ("import nowhere_at_all", "answer", "{file} fails on import: ModuleNotFoundError: No module named"),
        ("raise SystemExit(0)", "answer", "{file} fails on import: SystemExit: 0"),
        ("def answer(:", "answer", "{file} fails on import: SyntaxError"),
        ("class answer:\n    def __init__(self): 1 / 0", "answer", "cannot be made: ZeroDivisionError"),
        (
            "class answer:\n    async def generate(self): ...",
            "answer",
            "it has no name, capabilities",
        ),
        (
            "def answer(p): ...\nanswer.parallel = 0",
            "answer",
            "parallel must be a positive integer or None, not 0",
        ),
        (
            "def answer(p): ...\nanswer.capabilities = 'chat'",
            "answer",
            "capabilities must be a set of chat",
        ),
        ("def answer(p): ...\nanswer.capabilities = {'imgae'}", "answer", "'imgae': did you mean image?"),
        (
            "def answer(p): ...\nanswer.capabilities = {'logprobs'}",
            "answer",
            "only a model can have logprobs",
        ),
    ],
)
def test_what_cannot_be_opened_says_why(tmp_path: Path, text: str, attribute: str, line: str) -> None:
    file = written(tmp_path, text)
    assert line.format(file=file) in refusal(f"{file}:{attribute}")


@pytest.mark.parametrize("rest", ["mine.py", "mine.py:", "mine:answer", ":answer", "mine.txt:answer"])
def test_a_name_without_a_file_or_an_attribute(rest: str) -> None:
    assert refusal(rest) == (
        f"'python:{rest}' names no function or object in a file: write python:FILE.py:NAME"
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "gone.py"
    assert refusal(f"{file}:answer").startswith(f"no model file '{file}' in ")


def test_an_identity_that_is_no_json(tmp_path: Path) -> None:
    for own, line in (("object()", "must be plain JSON"), ("[1]", r"must be a dict, not \[1\]")):
        model = opened(tmp_path, f"def answer(prompt): ...\nanswer.identity = {own}\n", "answer")
        with pytest.raises(UsageError, match=line):
            model.identity  # noqa: B018
        (tmp_path / "mine.py").rename(tmp_path / "done.py")
        tmp_path = tmp_path / "next"
        tmp_path.mkdir()


def test_a_run_shows_it_pictures(tmp_path: Path) -> None:
    """One of the six pictures of `vqa` has a red square in its middle, and a question about its colour."""
    text = """
        from io import BytesIO
        from PIL import Image

        def answer(prompt):
            (shown,) = (part for part in prompt[0].parts if not isinstance(part, str))
            picture = Image.open(BytesIO(shown.data))
            assert picture.format in ("PNG", "JPEG") and picture.mode == "RGB"
            red, green, blue = picture.getpixel((picture.width // 2, picture.height // 2))
            return "red" if red > 150 > 100 > green else "no idea"
    """
    file = written(tmp_path, text)
    table = run(f"python:{file}:answer", "vqa", data="builtin", output=tmp_path / "run.db")
    assert table.cells[0].value == pytest.approx(100 / 6)


def test_modules_beside_it_are_part_of_its_identity(tmp_path: Path) -> None:
    """A helper that changes makes another model: a run of the old one is not gone on with."""
    (tmp_path / "parts_of_it").mkdir()
    words = [written(tmp_path, "WORD = 'one'", "word_of_it.py")]
    words.append(written(tmp_path, "", "parts_of_it/__init__.py"))
    words.append(written(tmp_path, "WORD = 'two'", "parts_of_it/second.py"))
    text = """
        from parts_of_it import second
        import word_of_it

        def answer(prompt):
            return word_of_it.WORD + second.WORD
    """
    before = opened(tmp_path, text)
    assert said(before) == "onetwo"
    imported = before.identity["imports"]
    assert isinstance(imported, dict)
    assert list(imported) == ["parts_of_it/__init__.py", "parts_of_it/second.py", "word_of_it.py"]
    for word in words:
        kept = word.read_text("utf-8")
        word.write_text(f"{kept}\n# changed", "utf-8")
        assert opened(tmp_path, text).identity != before.identity, word
        word.write_text(kept, "utf-8")
    assert opened(tmp_path, text).identity == before.identity
    assert "imports" not in opened(tmp_path, "def answer(prompt):\n    return 'x'\n").identity
