"""The guild as rows: what is written for each change, and what is read back."""

from collections.abc import Iterator
from importlib.resources import as_file, files

import pytest
from histories import NEW, NOW, histories, play
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from shardapi.guild import Guild
from shardapi.models import add_guild, guild_ids, load_guild, save_guild
from shardapi.store import Store, database


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that the examples share, each with a guild of its own."""
    made = Store(tmp_path_factory.mktemp("store"))
    with as_file(files("shardapi") / "migrations") as steps:
        made.migrate("core", steps)
    yield made
    made.close()


def add(store: Store) -> Guild:
    """A guild that the store did not have."""
    guild = replace(NEW, id=f"guild{len(store.read(guild_ids))}", updated_at=NOW)
    store.execute(lambda: add_guild(guild, NOW))
    return guild


def save(store: Store, before: Guild, after: Guild) -> None:
    def write() -> None:
        with database.atomic():
            save_guild(before, after)

    store.execute(write)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
def test_the_rows_written_for_each_change_are_the_guild(store: Store, history: list[int]) -> None:
    guild = add(store)
    assert store.read(lambda: load_guild(guild.id)) == guild
    for before, _, outcome in play(guild, history):
        if outcome.changed:
            save(store, before, outcome.guild)
            guild = outcome.guild
    assert store.read(lambda: load_guild(guild.id)) == guild


def test_a_guild_that_is_there_is_not_added_again(store: Store) -> None:
    guild = add(store)
    store.execute(lambda: add_guild(replace(guild, name="Other"), NOW))
    assert store.read(lambda: load_guild(guild.id)).name == guild.name


def test_two_guilds_with_the_same_nets_do_not_touch_each_other(store: Store) -> None:
    history = list(range(40))
    one, other = add(store), add(store)
    for before, _, outcome in play(other, history):
        save(store, before, outcome.guild)
    assert store.read(lambda: load_guild(other.id)).nets
    assert store.read(lambda: load_guild(one.id)) == one
