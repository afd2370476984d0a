# SPDX-License-Identifier: MIT
"""A program that runs on the server."""
from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from .errors import ProtocolError
from .reply import AsyncReply
from .results import ExecResult


def exec_members(argv: Optional[Sequence[str]], shell: Optional[str], name: Optional[str],
                 args: Optional[Mapping[str, Any]], cwd: Optional[str],
                 env: Optional[Mapping[str, str]]) -> Dict[str, Any]:
    if isinstance(argv, str) or sum(way is not None for way in (argv, shell, name)) != 1:
        raise ValueError("one of argv (a list of strings), shell and name is needed")
    members = {"argv": argv and list(argv), "shell": shell, "name": name, "cwd": cwd,
               "args": args and dict(args), "env": env and dict(env)}
    return {key: value for key, value in members.items() if value is not None}


class AsyncExecution(AsyncReply):
    """What a running program writes, as pairs of `"stdout"` or `"stderr"` and bytes.

        async with client.start(["make", "-C", "/srv"]) as program:
            async for stream, piece in program:
                ...
        print(program.result.exit_code)
    """

    async def __anext__(self) -> Tuple[str, bytes]:  # type: ignore[override]
        part = await self.part()
        if part is None:
            raise StopAsyncIteration
        return part

    async def part(self) -> Optional[Tuple[str, bytes]]:
        """The next pair; None at the end of a program that ended by itself."""
        part = await self._next()
        if part and part[0] not in ("stdout", "stderr"):
            raise ProtocolError("the reply does not say which output this is")
        return part

    @property
    def result(self) -> ExecResult:
        """How it ended, once its output has been read to the end; before, nobody knows it, and it
        is a ProtocolError. After DeadlineExceeded and Cancelled it is there as well, if the program
        had begun."""
        return ExecResult.of(self.members)
