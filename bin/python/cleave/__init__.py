# SPDX-License-Identifier: MIT
"""A client of Cleave servers, for asyncio (AsyncClient) and for everybody else (Client)."""
from .aio import AsyncClient
from .client import Client, Execution, StreamedReply
from .errors import (AlreadyExists, Busy, Cancelled, ChecksumMismatch, CleaveError, ConnectionLost,
                     DeadlineExceeded, Denied, NoSpace, NotFound, OffsetMismatch, ProtocolError,
                     Refused, ServerFault, Temporary, TooLarge, Unavailable)
from .execution import AsyncExecution
from .reply import AsyncReply, Reply
from .results import Entry, ExecResult, Transferred

__version__ = "0.1.0"

__all__ = [
    "AlreadyExists", "AsyncClient", "AsyncExecution", "AsyncReply", "Busy", "Cancelled",
    "ChecksumMismatch", "CleaveError", "Client", "ConnectionLost", "DeadlineExceeded", "Denied",
    "Entry", "ExecResult", "Execution", "NoSpace", "NotFound", "OffsetMismatch", "ProtocolError",
    "Refused", "Reply", "ServerFault", "StreamedReply", "Temporary", "TooLarge", "Transferred",
    "Unavailable",
]
