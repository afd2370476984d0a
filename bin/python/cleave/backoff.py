# SPDX-License-Identifier: MIT
"""How long to wait before another try."""
from __future__ import annotations

import asyncio
import random
from typing import Optional

_LONGEST = 10.0


class Backoff:
    """So many tries more. The time before one doubles up to a limit, and chance takes off up to
    half of it, so that clients that failed together do not come back together."""

    def __init__(self, tries: int, first: float, deadline: Optional[float] = None) -> None:
        self._left = tries
        self._longest = first
        self._deadline = deadline

    async def again(self) -> bool:
        """Waits for its time; False at once where there is to be none."""
        delay = self._longest * random.uniform(0.5, 1)
        now = asyncio.get_running_loop().time()
        if self._left == 0 or (self._deadline is not None and now + delay >= self._deadline):
            return False
        self._left -= 1
        self._longest = min(self._longest * 2, _LONGEST)
        await asyncio.sleep(delay)
        return True
