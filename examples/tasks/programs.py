"""Questions for which a model may write programs: it calls a tool, reads the output, and answers."""

import json

from evalkit.api import Accuracy, Generated, Message, Protocol, Sample, Task, Tool, Verdict, execute, task
from evalkit.scoring import final_number, same_number

PYTHON = Tool("python", "Runs a program.", {"type": "object", "properties": {"code": {"type": "string"}}})


def rows(chance):
    for a, b in ((chance.randrange(100, 1000), chance.randrange(100, 1000)) for _ in range(12)):
        yield {"id": f"{a}*{b}", "question": f"What is {a} times {b}?", "answer": str(a * b)}


async def printed(arguments):
    ran = await execute(json.loads(arguments)["code"])  # arguments that are not JSON fail the sample
    return ran.stdout + ran.stderr


async def with_python(context):
    messages = context.prompt
    reply = await context.ask(messages, tools=[PYTHON])
    for _ in range(4):
        messages = (*messages, Message("assistant", reply.text, tool_calls=reply.tool_calls))
        for one in reply.tool_calls:
            found = await context.tool("python", one.arguments, lambda one=one: printed(one.arguments))
            messages = (*messages, Message("tool", found, tool_call_id=one.id))
        if reply.tool_calls:
            reply = await context.ask(messages, tools=[PYTHON], follows=reply)


@task("programs")
def programs():
    """Products of large numbers, with Python as a tool"""
    return Task(
        data=Generated(7, rows),
        sample=lambda row: Sample(id=row["id"], input=row["question"], target=(row["answer"],)),
        prompt=lambda sample, protocol: (Message("user", sample.input),),
        answer=final_number,
        scorer=lambda answer, sample: Verdict(same_number(answer, sample.target[0])),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="tool", solver=with_python, needs=("tools",)),),
        gold=lambda sample, protocol: sample.target[0],
    )
