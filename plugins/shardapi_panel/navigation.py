"""The navigation: the pages in groups, each with the plugin without which it has nothing to show."""

from typing import NamedTuple

from shardapi import Shard


class Page(NamedTuple):
    """A page of the panel: the endpoint of its view, its title, and the plugin it needs."""

    endpoint: str
    title: str
    needs: str = ""


PAGES: dict[str, list[Page]] = {
    "Comms": [
        Page("panel.board", "Board", "status"),
        Page("panel.presets", "Presets", "presets"),
        Page("panel.rules", "Rules", "rules"),
        Page("panel.acars", "ACARS", "acars"),
        Page("panel.archive", "Archive", "archive"),
        Page("panel.features", "Features", "features"),
    ],
    "Health": [
        Page("panel.health", "Health"),
        Page("panel.webhooks", "Webhooks", "webhooks"),
        Page("panel.audit", "Audit", "audit"),
        Page("panel.plugins", "Plugins"),
        Page("panel.settings", "Settings"),
        Page("panel.public_token", "Public link", "embed"),
    ],
    "Access": [
        Page("panel.keys", "Keys"),
        Page("panel.operator_tokens", "Operator tokens"),
        Page("panel.sessions", "Sessions"),
    ],
}


class Entry(NamedTuple):
    """One line of the navigation."""

    title: str
    url: str
    here: bool


def runs(shard: Shard, plugin: str) -> bool:
    """Whether a plugin is enabled; "" always is."""
    return not plugin or any(one.name == plugin for one in shard.plugins.loaded)


def groups(shard: Shard, path: str) -> list[tuple[str, list[Entry]]]:
    """The groups with the pages that can be shown, those of other plugins last."""
    from flask import url_for

    found = [
        (
            name,
            [
                Entry(page.title, url, path == url or path.startswith(f"{url}/"))
                for page in pages
                if runs(shard, page.needs)
                for url in (url_for(page.endpoint),)
            ],
        )
        for name, pages in PAGES.items()
    ]
    found.append(("Plugins", _of_plugins(shard, path)))
    return [(name, entries) for name, entries in found if entries]


def _of_plugins(shard: Shard, path: str) -> list[Entry]:
    from flask import url_for

    return [
        Entry(page.title, url, url == path)
        for plugin, opened in shard.plugins.opened.items()
        for page in opened.pages
        for url in (url_for("panel.of_plugin", plugin=plugin, name=page.name),)
    ]
