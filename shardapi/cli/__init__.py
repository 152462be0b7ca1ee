"""The command line: every command works whether or not the server runs.

What plugins import from here must not bring the whole program into the server: `main` is loaded when it is asked for.
"""

from typing import TYPE_CHECKING, Any

COMMANDS = (
    *("backup", "config", "demo", "doctor", "keys", "openapi", "operators", "plugins", "restore"),
    *("export", "import", "install-systemd", "serve", "simulate", "tail"),
)

if TYPE_CHECKING:
    from .program import main as main


def __getattr__(name: str) -> Any:
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .program import main

    return main
