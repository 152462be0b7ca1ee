"""`python -m shardapi` is `shardapi`."""

from .cli import main

main(prog_name="shardapi")
