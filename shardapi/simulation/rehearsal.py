"""A plan played by a thread of its own, so that a test can look on, and look around when it is over."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from .radio import Refused
from .script import Step
from .simulator import Access, Done, Simulator

STOP_SECONDS = 20.0


class Rehearsal:
    """Simulated operators at work from `with` on; who has not left by then leaves at the end of the block."""

    def __init__(self, url: str, granted: Access, steps: Sequence[Step], speed: float = 1.0) -> None:
        self.done: list[Done] = []
        self.steps, self.speed = steps, speed
        self._simulator = Simulator(url, *granted, told=self.done.append)
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="rehearsal", daemon=True)

    def __enter__(self) -> Self:
        self._task = self._loop.create_task(self._play())
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.stop()

    def wait(self, seconds: float = 60.0, strict: bool = True) -> list[Done]:
        """Wait until every step was tried. Raises TimeoutError, and if strict Refused for the first refusal."""
        if not self._over.wait(seconds):
            raise TimeoutError(f"{len(self.done)} of {len(self.steps)} steps in {seconds} s")
        if self._error is not None:
            raise self._error
        if strict:
            for step, refused in self.done:
                if refused:
                    raise Refused(f"{step.user} could not {step.do} {step.net}: {refused}")
        return self.done

    def stop(self) -> None:
        """Have everyone leave now."""
        with suppress(RuntimeError):  # the loop is closed: everyone has left
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_until_complete(asyncio.wait([self._task]))

    async def _play(self) -> None:
        try:
            await self._simulator.play(self.steps, self.speed)
            self._over.set()
            await asyncio.Event().wait()
        except Exception as error:
            self._error = error
        finally:
            self._over.set()
            await self._simulator.everyone_leaves()
