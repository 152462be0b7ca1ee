"""What a worker tells the master over memory that both have: how far it has come, and why it cannot begin."""

import mmap
import os

BOOTING, BOOTED, SERVING, REFUSED = range(4)
SIZE = 4096


class Board:
    """A state and a reason; made before the fork, written by the worker, read by the master."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE)
        self.stack: int | None = None  # where the worker's last stack goes; None is standard error

    def keep_stack(self) -> None:
        """Have the stack of a worker that is ended kept here, for a log that is not made of such lines."""
        self.stack = os.memfd_create("stack")

    def last_stack(self) -> str:
        """What was kept, once the worker is no more; "" if nothing was."""
        if self.stack is None:
            return ""
        fd, self.stack = self.stack, None
        with os.fdopen(fd, "rb") as file:
            file.seek(0)
            return file.read().decode("utf-8", "replace")

    @property
    def state(self) -> int:
        """How far the worker has come."""
        return self._memory[0]

    @state.setter
    def state(self, state: int) -> None:
        self._memory[0] = state

    @property
    def reason(self) -> str:
        """Why it cannot begin; "" if it has not said."""
        return self._memory[1:].split(b"\0", 1)[0].decode("utf-8", "replace")

    def refuse(self, reason: str) -> None:
        """Say why it cannot begin, in one line."""
        said = " ".join(reason.split()).replace("\0", "").encode("utf-8", "replace")[: SIZE - 2]
        self._memory[1 : 1 + len(said)] = said
        self.state = REFUSED
