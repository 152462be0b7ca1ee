"""POST /operation: open or close it; closed, operators stay connected but cannot key up."""

from shardapi import Body, Routes, ShardApp, Write, Written, hookimpl
from shardapi.central import Outcome
from shardapi.commands import SetOperation

operation = Routes("operation")


class OperationBody(Body, kw_only=True):
    open: bool


class OperationWritten(Written, kw_only=True):
    """The operation's state after the write."""

    open: bool


@operation.post(
    "/operation",
    scope="write:operation",
    examples={"body": {"open": True}, "answer": {"action": "operation.set"}},
)
def set_open(body: OperationBody, write: Write) -> OperationWritten:
    """Open or close the operation; every operator is told at once."""

    def answer(outcome: Outcome) -> OperationWritten:
        return OperationWritten(action="operation.set", open=body.open)

    return write.submit([SetOperation(open=body.open, by=write.by)], answer)


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [operation]
