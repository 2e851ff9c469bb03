"""An entropy device (virtio 1.3, 5.4): fills whatever buffers it is given."""

import os
from collections.abc import Callable

from .function import FunctionDevice, Queue

#: Most bytes for one request.
MOST = 4096


class Entropy(FunctionDevice):
    """Random bytes from *source*, which is told how many."""

    def __init__(self, source: Callable[[int], bytes] = os.urandom):
        self._source = source
        #: Bytes given so far.
        self.given = 0

    async def serve(self, queue: Queue) -> None:
        """Fill buffers."""
        while (chain := await queue.take()) is not None:
            data = self._source(min(chain.writable_length, MOST))
            await queue.write(chain, 0, data)
            self.given += len(data)
            await queue.use(chain, len(data))
