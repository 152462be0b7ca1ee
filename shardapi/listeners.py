"""Functions that are called when something has happened, on the loop and at once; those of plugins are contained."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ParamSpec

from .greenlets import Ended
from .problems import home, named, owner

if TYPE_CHECKING:
    from .problems import Problems

log = logging.getLogger("shardapi.listeners")

P = ParamSpec("P")
CORE = "shardapi."


class Listeners(list[Callable[P, object]]):
    """A list of functions to append to. One must not wait for anything; what wants to starts a greenlet."""

    problems: "Problems | None" = None
    modules: Mapping[str, str] = {}

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call each; the core's own may end this process, because half of what it knows would be wrong."""
        for listener in self:
            try:
                listener(*args, **kwargs)
            except Ended:
                raise
            except BaseException as error:
                module = home(listener)
                if module.startswith(CORE):
                    raise
                self._contain(owner(module, self.modules) or module, listener, error)

    def _contain(self, plugin: str, listener: object, error: BaseException) -> None:
        if self.problems is None:
            log.error("%s failed", named(listener), exc_info=error)
        else:
            self.problems.failed(plugin, "listener", named(listener), error)
