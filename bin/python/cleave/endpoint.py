# SPDX-License-Identifier: MIT
"""Where a server is."""
from __future__ import annotations

import os
import re
from typing import NamedTuple, Optional
from urllib.parse import unquote

DEFAULT = "tcp://127.0.0.1:8080"


class Endpoint(NamedTuple):
    """A host and a port, or the path of a local socket."""

    url: str
    host: str = ""
    port: int = 0
    path: str = ""


def parse(url: Optional[str]) -> Endpoint:
    """`tcp://HOST:PORT` (IPv6 in brackets) or `unix:PATH`, as servers print them. Without one it is
    the environment's CLEAVE_SERVER, or else tcp://127.0.0.1:8080."""
    url = url or os.environ.get("CLEAVE_SERVER") or DEFAULT
    address, _, options = url.partition("?")
    if options not in ("", "wire=frame"):
        raise ValueError(f"{url!r}: this client speaks the wire frame, and knows no other option")
    if address.startswith("unix:") and len(address) > len("unix:"):
        return Endpoint(url, path=unquote(address[len("unix:"):]))
    match = re.fullmatch(r"tcp://(?:\[([^\[\]]+)\]|([^:/\[\]]+)):(\d{1,5})", address)
    if not match or not 0 < int(match[3]) < 65_536:
        raise ValueError(f"{url!r} is neither tcp://HOST:PORT nor unix:PATH")
    return Endpoint(url, host=match[1] or match[2], port=int(match[3]))
