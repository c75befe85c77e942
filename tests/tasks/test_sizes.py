"""How large the benchmarks are, written down a second time, by the values of the options that decide it."""

from __future__ import annotations

import pytest
from evalkit.tasks import INDEX
from evalkit.tasks.speech_languages import FLEURS, MLS, VOXPOPULI

from evalkit.benchmark.task import find_task, load_task, options_of
from evalkit.data.base import DataOptions

SIZES: dict[str, dict[tuple[str, str], int | None]] = {
    "ai2d": {("boxes", "opaque"): 3088, ("boxes", "transparent"): 3088},
    "aime": {("", ""): 90},
    "asr": {("dataset", ""): None, ("dataset", "./calls"): None, ("language", "en"): None},
    "ast": {("dataset", ""): None, ("dataset", "./talks"): None},
    "bbh": {("", ""): 6511},
    "boolq": {("", ""): 3270},
    "chartqa": {("", ""): 2500},
    "covost2": {("languages", "21"): 96780, ("languages", "fr,de"): 28271, ("languages", "sv-SE"): 1595},
    "docvqa": {("split", "validation"): 5349, ("split", "test"): 5188},
    "drop": {("", ""): 9536},
    "fleurs": {("languages", "82"): 63343, ("languages", "all"): 77809, ("languages", "en_us,ja_jp"): 1297},
    "fleurs-ast": {("languages", "whisper"): None, ("languages", "fr_fr"): None},
    "flores-low": {("languages", "all"): 10034, ("languages", "tzm_Tfng,knc_Latn,nde_Latn"): 8010},
    "gsm8k": {("", ""): 1319},
    "hellaswag": {("", ""): 10042},
    "humaneval": {("", ""): 164},
    "humanevalplus": {("", ""): 164},
    "infographicvqa": {("split", "validation"): 2801, ("split", "test"): 3288},
    "kv-retrieval": {("", ""): None, ("lengths", "1k,1M"): None, ("filler", ""): None},
    "kv-retrieval-json": {("", ""): None, ("pairs", "75"): None},
    "lambada": {("", ""): 5153},
    "librispeech": {("subset", "clean"): 2620, ("subset", "other"): 2939},
    "math": {("", ""): 5000},
    "math-amc": {("papers", ""): 83, ("papers", "./amc.jsonl"): None},
    "mathvista": {("split", "testmini"): 1000, ("split", "test"): 5141, ("quick", "no"): 1000},
    "mbpp": {("subset", "full"): 500, ("subset", "sanitized"): 257},
    "mbppplus": {("", ""): 378},
    "mgsm": {("languages", "11"): 2750, ("languages", "sw"): 250},
    "mls": {("languages", "en"): 3769, ("languages", "all"): 17702, ("languages", "pl,pt"): 1391},
    "mmlu": {("", ""): 14042},
    "mmmlu": {("locales", "report"): 70210, ("locales", "all"): 196588, ("locales", "SW_KE,DE_DE"): 28084},
    "mmmu": {("split", "validation"): 900, ("split", "test"): 10500},
    "narrativeqa": {
        ("split", "test"): 10557, ("split", "validation"): 3461, ("keep", "ends"): 10557,
        ("characters", "all"): 10557,
    },
    "narrativeqa-summaries": {("", ""): 10557},
    "natural2code": {("dataset", ""): None, ("dataset", "./held_out"): None},
    "nll-by-position": {("dataset", ""): None, ("dataset", "./books"): None},
    "nq-open": {("", ""): 3610},
    "nq-retrieved": {("k", "10"): None, ("dataset", "./found"): None},
    "qasper": {("", ""): None},
    "quality": {("", ""): 2086},
    "textvqa": {("split", "validation"): 5000, ("split", "test"): 5734},
    "tydiqa": {("", ""): 5077, ("languages", "authors"): 4637, ("languages", "korean,telugu"): 945},
    "voxpopuli": {("languages", "14"): None, ("languages", "all"): None, ("languages", "en"): 1842},
    "vqa": {("dataset", ""): None, ("dataset", "./receipts"): None},
    "vqav2": {
        ("split", "validation"): 214354, ("split", "testdev"): 107394, ("split", "test-dev"): 107394,
        ("split", "test"): 447793,
    },
    "wikilingua": {("languages", "palm2"): None, ("languages", "all"): None},
    "wmt23": {("pairs", "all"): 24994, ("pairs", "en-de,de-en"): 1106, ("documents", "no"): 24994},
    "xlsum": {("languages", "tydi"): 37747, ("languages", "all"): 114198, ("languages", "thai,welsh"): 2042},
    "xsum": {("", ""): 11334},
}  # fmt: skip
GROUPS = {
    "aime": 3, "bbh": 23, "chartqa": 2, "covost2": 21, "fleurs": 82, "flores-low": 8,
    "librispeech": 1, "math": 7, "mathvista": 5, "mgsm": 11, "mls": 1, "mmlu": 57, "mmmlu": 5,
    "mmmu": 30, "tydiqa": 9, "voxpopuli": 1, "wmt23": 14, "xlsum": 11,
}  # fmt: skip
"""How many groups have a size, at the defaults."""


BUILT = [(name, option, size) for name, options in SIZES.items() for option, size in options.items()]


def test_every_task_is_here() -> None:
    assert set(SIZES) == set(INDEX)
    for name, options in SIZES.items():
        assert {option for option, _ in options if option} <= set(options_of(find_task(name)))


@pytest.mark.parametrize(("name", "option", "size"), BUILT)
def test_a_split_has_its_size_and_its_groups_add_up(
    name: str, option: tuple[str, str], size: int | None
) -> None:
    task = load_task(name, dict([option]) if option[0] else {})
    assert task.size == size
    assert all(count > 0 for count in task.group_sizes.values())
    if size is not None and task.group_sizes:
        assert sum(task.group_sizes.values()) == size


@pytest.mark.parametrize(
    ("name", "languages"), [("fleurs", tuple(FLEURS)), ("mls", tuple(MLS)), ("voxpopuli", tuple(VOXPOPULI))]
)
def test_every_language_alone_is_of_its_own_size(name: str, languages: tuple[str, ...]) -> None:
    for language in languages:
        task = load_task(name, {"languages": language})
        assert task.group_sizes in ({language: task.size}, {}), language
        assert (task.size is None) == (name == "voxpopuli" and language != "en")


def test_how_many_groups_have_a_size() -> None:
    found = {name: len(load_task(name).group_sizes) for name in INDEX}
    assert {name: count for name, count in found.items() if count} == GROUPS


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(GROUPS.keys() - {"voxpopuli"}))
def test_groups_are_called_as_samples_call_them(name: str) -> None:
    task = load_task(name)
    records = task.data.open(DataOptions(small_sets=True))
    groups = {task.sample(record).group for record in records}
    assert groups
    assert groups <= set(task.group_sizes)
