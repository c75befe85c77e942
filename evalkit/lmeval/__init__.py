"""Tasks of lm-evaluation-harness: its prompts, filters and scores, with evalkit's requests and statistics."""

from evalkit.benchmark.task import TaskFactory
from evalkit.data.base import DataOptions


def factory(name: str, data: DataOptions) -> TaskFactory:
    """The function that builds the task with a name such as `lm-eval:gsm8k`. Raises `UsageError`.

    `data`: where its data is read from, which happens when the task is built.
    """
    from evalkit.lmeval import tasks

    return tasks.factory(name, data)


def expanded(name: str) -> list[str]:
    """The names of the tasks to evaluate for `name`: the members of a tag or of a group without figures."""
    from evalkit.lmeval import loading, names

    return loading.expanded(name, names.parsed(name))
