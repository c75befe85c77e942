"""`hf/…` with models that read pictures, beside transformers on the same small models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.errors import ProviderError, UsageError  # noqa: E402
from evalkit.models import open_model  # noqa: E402
from evalkit.models.base import Request  # noqa: E402
from evalkit.samples import Audio, Image, Message  # noqa: E402
from tests import tiny_llama, tiny_shown  # noqa: E402
from tests.cli.conftest import Cli, cli  # noqa: E402
from tests.hf.asking import answers, good, picture, plainly  # noqa: E402

__all__ = ["cli"]

pytestmark = pytest.mark.slow  # transformers takes seconds to import
CHATS = [
    (Message("user", (picture(1), "How many?")),),
    (Message("user", ("How many apples?", picture(2, 70, 30))),),
    (Message("user", ("Ann has", picture(3), "and finds", picture(4, 30, 90), "How many?")),),
    (Message("system", "Be brief."), Message("user", (picture(5, 33, 80), "How many?"))),
    (
        Message("user", (picture(1), "How many?")),
        Message("assistant", "Ann has 12 apples"),
        Message("user", (picture(2), "and", picture(6, 120, 120), "now?")),
    ),
    (Message("user", "Ann has 12 apples and finds 36 more. How many?"),),
]
"""Several sizes, places and numbers of pictures, and none."""


@pytest.fixture(scope="module", params=["llava", "idefics3", "gemma3", "llava_next"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = getattr(tiny_shown, request.param)(tmp_path_factory.mktemp("models") / request.param)
    return made


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_shown.llava(tmp_path_factory.mktemp("models") / "llava")


def test_texts_are_those_of_transformers_one_by_one(folder: Path) -> None:
    found = answers(folder, [Request(chat, 12 + n) for n, chat in enumerate(CHATS)])
    for number, (chat, one) in enumerate(zip(CHATS, found, strict=True)):
        text, read = plainly(folder, chat, 12 + number)
        assert (good(one).text, good(one).prompt_tokens) == (text, read), number
    assert len({good(one).text for one in found}) == len(CHATS)  # what is shown decides the text


def test_together_and_alone_give_the_same(folder: Path) -> None:
    requests = [
        *(Request(chat, 9, logprobs=2) for chat in CHATS),
        *(Request(chat, 9, temperature=0.9, top_p=0.9, seed=n) for n, chat in enumerate(CHATS)),
        *(Request((Message("user", (picture(n), "How many?" * n)),), 7) for n in range(1, 6)),
    ]
    together = [good(one) for one in answers(folder, requests)]
    alone = [good(one) for one in answers(folder, requests, "&rows=1")]
    for left, right in zip(together, alone, strict=True):
        assert (left.text, left.finish, left.prompt_tokens) == (right.text, right.finish, right.prompt_tokens)
        assert [one.logprob for one in left.logprobs] == pytest.approx(
            [one.logprob for one in right.logprobs], abs=1e-3
        )


def test_what_a_model_reads_is_known_before_its_weights_are(llava: Path, tmp_path: Path) -> None:
    text = {"chat", "completion", "logprobs", "echo", "likelihood", "prefill", "extra"}
    base = tiny_shown.llava(tmp_path / "base", template="")
    template = tmp_path / "pictures.jinja"
    template.write_text(tiny_shown.SPEAKS)
    (base / "model.safetensors").write_bytes(b"not read")
    for typed, media in (
        (f"hf/{llava}", {"image"}),
        (f"hf/{base}", set()),
        (f"hf/{base}?template={template}", {"image"}),
        (f"hf/{tiny_llama.written(tmp_path / 'text')}", set()),
    ):
        assert open_model(typed).capabilities == text | media
    broken = tmp_path / "broken"
    shutil.copytree(base, broken)
    (broken / "processor_config.json").write_text("{")
    with pytest.raises(UsageError, match="its processor cannot be loaded"):
        open_model(f"hf/{broken}")


def test_texts_keep_the_ways_of_a_model_of_texts(llava: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likelihoods and echo are those of the whole model, and texts are generated in slots."""

    def unused(*_: Any) -> Any:
        raise AssertionError("a text was generated in a padded batch")

    monkeypatch.setattr("evalkit.hf.loaded.generate", unused)
    prompt = "Ann has 12 apples and finds"
    likely, echoed, said, chat = (
        good(one)
        for one in answers(
            llava,
            [
                Request(prompt, 0, continuations=(" 36 more", " apples")),
                Request(prompt, 1, logprobs=1, echo=True),
                Request(prompt, 7),
                Request(CHATS[-1], 12),
            ],
        )
    )
    model = transformers.AutoModelForImageTextToText.from_pretrained(llava, dtype="float32").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(llava)
    start = tokenizer(prompt, return_tensors="pt").input_ids
    for found in likely.likelihoods:
        ids = tokenizer(prompt + found.text, return_tensors="pt").input_ids
        with torch.no_grad():
            known = model(ids).logits[0].log_softmax(-1)
        own = [float(known[at - 1, ids[0, at]]) for at in range(start.shape[1], ids.shape[1])]
        assert found.logprob == pytest.approx(sum(own), abs=1e-3)
    with torch.no_grad():
        known = model(start).logits[0].log_softmax(-1)
        out = model.generate(start, max_new_tokens=7, do_sample=False, pad_token_id=2)
    assert [one.logprob for one in echoed.prompt_logprobs][-start.shape[1] + 1 :] == pytest.approx(
        [float(known[at - 1, start[0, at]]) for at in range(1, start.shape[1])], abs=1e-4
    )
    assert said.text == tokenizer.decode(out[0, start.shape[1] :], skip_special_tokens=True)
    assert (chat.text, chat.prompt_tokens) == plainly(llava, CHATS[-1], 12)


def test_the_next_token_after_a_picture(llava: Path) -> None:
    """Letters are read so. It is generated, never computed without the picture."""
    (found, other), chat = answers(llava, [Request(chat, 1, logprobs=5) for chat in CHATS[:2]]), CHATS[0]
    assert plainly(llava, chat, 1)[0] == good(found).text
    (token,) = good(found).logprobs
    assert token.logprob == max(token.top.values())
    assert len(token.top) <= 5
    assert token.logprob != good(other).logprobs[0].logprob


def test_a_begun_answer_is_continued(llava: Path) -> None:
    chat = (Message("user", (picture(1), "How many?")), Message("assistant", "Ann has"))
    (found,) = answers(llava, [Request(chat, 5)])
    processor = transformers.AutoProcessor.from_pretrained(llava)
    ids = processor.tokenizer("<|user|>" + "<image>" * 16 + "How many?<eos><|assistant|>Ann has").input_ids
    assert good(found).prompt_tokens == len(ids)


def test_templates_that_know_only_texts(llava: Path, tmp_path: Path) -> None:
    """They get the processor's mark in the place of a picture, as the models' documentation does by hand."""
    expected = [good(one).text for one in answers(llava, [Request(chat, 9) for chat in CHATS])]
    raising = tiny_llama.TEMPLATE.replace("message['content'] }}", "message['content'] + '' }}")
    system = (
        "{% if messages[0]['role'] == 'system' %}<|system|>{{ messages[0]['content'] | trim }}<eos>"
        "{% set messages = messages[1:] %}{% endif %}"
    )
    for number, template in enumerate((tiny_llama.TEMPLATE, raising, system + tiny_shown.SPEAKS)):
        file = tmp_path / f"{number}.jinja"
        file.write_text(template)
        found = answers(llava, [Request(chat, 9) for chat in CHATS], f"&template={file}")
        assert [good(one).text for one in found] == expected, number


def test_a_picture_is_never_left_out_in_silence(llava: Path, tmp_path: Path) -> None:
    blind = tmp_path / "blind.jinja"
    blind.write_text(tiny_shown.SPEAKS.replace("<image>", ""))
    (found,) = answers(llava, [Request(CHATS[0], 5)], f"&template={blind}")
    assert isinstance(found, ProviderError)
    assert found.fatal
    assert "leaves out a picture" in str(found)
    marked, damaged, fine, clip = answers(
        llava,
        [
            Request((Message("user", (picture(1), "What is <image>?")),), 5),
            Request((Message("user", (Image(picture(1).data[:200]), "How many?")),), 5),
            Request(CHATS[0], 5),
            Request((Message("user", (Audio(b"RIFF"), "How many?")),), 5),
        ],
    )
    assert isinstance(marked, ProviderError)
    assert "the text '<image>'" in str(marked)
    assert isinstance(damaged, ProviderError)
    assert "truncated PNG" in str(damaged)
    assert good(fine).text
    assert isinstance(clip, ProviderError)
    assert (marked.fatal, damaged.fatal) == (False, False)


def test_the_context_holds_pictures_too(tmp_path: Path) -> None:
    small = tiny_shown.llava(tmp_path / "small", positions=64)
    long, short = answers(
        small,
        [Request((Message("user", (*map(picture, range(9)), "?")),), 5), Request(CHATS[0], 500)],
    )
    assert isinstance(long, ProviderError)
    assert long.too_long
    assert (good(short).prompt_tokens or 0) + (good(short).completion_tokens or 0) <= 64


def test_memory_that_runs_out_and_a_model_that_fails(
    llava: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from evalkit.hf import padded

    requests = [Request((Message("user", (picture(n), "How many?")),), 6) for n in range(7)]
    expected = [good(one).text for one in answers(llava, requests)]
    plain = padded.generate

    def little(model: Any, rows: Any, *given: Any) -> Any:
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(model, rows, *given)

    monkeypatch.setattr("evalkit.hf.loaded.generate", little)
    assert [good(one).text for one in answers(llava, requests)] == expected
    assert "out of memory: 3 prompts with pictures or clips at once" in capsys.readouterr().err

    def one_of_them(model: Any, rows: Any, *given: Any) -> Any:
        if any(row.most == 5 for row in rows):
            raise ValueError("Image features and image tokens do not match")
        return plain(model, rows, *given)

    monkeypatch.setattr("evalkit.hf.loaded.generate", one_of_them)
    *found, bad = answers(llava, [*requests, Request(CHATS[0], 5)])
    assert [good(one).text for one in found] == expected
    assert isinstance(bad, ProviderError)
    assert "Image features and image tokens do not match" in str(bad)
    assert not bad.fatal


def test_batches_are_as_large_as_the_options_say(llava: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.hf import padded

    plain, sizes = padded.generate, []

    def counted(model: Any, rows: Any, *given: Any) -> Any:
        sizes.append((len(rows), max(len(row.ids) for row in rows) * len(rows)))
        return plain(model, rows, *given)

    monkeypatch.setattr("evalkit.hf.loaded.generate", counted)
    requests = [Request((Message("user", (picture(n), "How many? " * n)),), 2) for n in range(8)]
    answers(llava, requests, "&rows=3")
    assert [count for count, _ in sizes] == [3, 3, 2]
    sizes.clear()
    answers(llava, requests, "&tokens=120")
    assert sum(count for count, _ in sizes) == 8
    assert all(tokens <= 120 or count == 1 for count, tokens in sizes)
    assert max(count for count, _ in sizes) > 1


def test_the_processor_is_part_of_the_identity(llava: Path, tmp_path: Path) -> None:
    def identity(folder: Path) -> str:
        return json.dumps(open_model(f"hf/{folder}?dtype=float32").identity, sort_keys=True)

    copy = tmp_path / "copy"
    shutil.copytree(llava, copy)
    plain = identity(copy)
    assert plain == identity(llava)
    assert '"pictures": "pillow ' in plain or '"pictures": "torchvision ' in plain
    file = copy / "processor_config.json"
    file.write_text(file.read_text().replace('"shortest_edge": 32', '"shortest_edge": 48'))
    assert identity(copy) not in (plain, "")
    (copy / "chat_template.jinja").write_text(tiny_shown.SPEAKS + " ")
    assert identity(copy) != plain
    assert "pictures" not in identity(tiny_llama.written(tmp_path / "text"))


def test_runs_from_the_command_line(llava: Path, tmp_path: Path, cli: Cli) -> None:
    model = f"hf/{tiny_shown.llava(tmp_path / 'long', positions=4096)}?dtype=float32"
    for task in ("vqav2", "mmmu", "gsm8k:0-shot-chat"):
        command = ("run", "-m", model, "-t", task, "--limit", 3, "--set", "max_tokens=8", "--data", "builtin")
        done = cli(*command, "-o", tmp_path / f"{task}.db")
        assert done.code == 0, done.err
        assert cli(*command, "-o", tmp_path / f"{task}.db").out == done.out
    text = f"hf/{tiny_llama.written(tmp_path / 'text')}"
    for name, given, message in (
        (text, ("-t", "vqav2"), "does not support image"),
        (model, ("-t", "librispeech"), "does not support audio"),
        (model, ("-t", "mmmu", "--set", "likelihood=prompt"), "likelihood"),
    ):
        wrong = cli("run", "-m", name, *given, "-o", tmp_path / "no.db", "--data", "builtin")
        assert (wrong.code, message in wrong.err, wrong.err.count("\n")) == (2, True, 1), wrong.err
        assert not (tmp_path / "no.db").exists()


def test_what_cannot_be_run_is_refused_when_it_is_opened(
    llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_shown.gemma3(tmp_path / "both")
    transformers.T5Gemma2Config().save_pretrained(folder)
    with pytest.raises(UsageError, match="a t5gemma2 cannot be run"):
        open_model(f"hf/{folder}")
    tokenizer = type("MistralCommonBackend", (), {})()
    processor = type("Processor", (), {"tokenizer": tokenizer})()
    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", lambda *_, **__: processor)
    with pytest.raises(UsageError, match="mistral-common writes its chats"):
        open_model(f"hf/{llava}")
