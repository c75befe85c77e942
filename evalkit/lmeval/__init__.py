"""Tasks of lm-evaluation-harness: its prompts, filters and scores, with evalkit's requests and statistics."""

from evalkit.benchmark.task import TaskFactory
from evalkit.data.base import DataOptions


def factory(name: str, data: DataOptions) -> TaskFactory:
    """The function that builds the task with a name such as `lm-eval:gsm8k`. Raises `UsageError`.

    `data`: where its data is read from, which happens when the task is built.
    """
    from evalkit.lmeval import tasks

    return tasks.factory(name, data)


def listed(pattern: str) -> list[dict[str, str]]:
    """The names of lm-eval that match `lm-eval:PATTERN`: `name`, and `kind`, which is task, group or tag.

    The pattern is a part of a name, or has `*` for any characters.
    """
    import fnmatch

    from evalkit.benchmark.names import LM_EVAL
    from evalkit.lmeval import index

    text = pattern.removeprefix(LM_EVAL)
    wanted = text if any(c in text for c in "*?[") else f"*{text}*"
    names = index.packaged()
    kinds = {"PY_TASK": "task"}
    return [
        {"name": f"{LM_EVAL}{name}", "kind": kinds.get(names[name].kind, names[name].kind.lower())}
        for name in sorted(names)
        if fnmatch.fnmatchcase(name, wanted)
    ]


def expanded(name: str) -> list[str]:
    """The names of the tasks to evaluate for `name`: the members of a tag or of a group without figures."""
    from evalkit.lmeval import loading, names

    return loading.expanded(name, names.parsed(name))
