"""The search index over the core's catalogue; triggers keep it in each entry's own transaction.

They stay while the plugin is not enabled, so that the index misses nothing. Who drops these tables by hand drops the
triggers too.
"""

from typing import Any

WORDS = "name, notes, tags"
OLD, NEW = (", ".join(f"{row}.{column}" for column in WORDS.split(", ")) for row in ("old", "new"))

ADD_WORDS = f"INSERT INTO archive_search (rowid, {WORDS}) VALUES (new.id, {NEW});"
DROP_WORDS = f"INSERT INTO archive_search (archive_search, rowid, {WORDS}) VALUES ('delete', old.id, {OLD});"
# The catalogue keeps no tag twice, so this looks for none: DISTINCT would cost as much as the tag itself.
ADD_TAGS = "INSERT INTO archive_tag SELECT new.guild, value, new.id FROM json_each(new.tags);"
DROP_TAGS = (
    "DELETE FROM archive_tag WHERE guild = old.guild AND id = old.id"
    " AND tag IN (SELECT value FROM json_each(old.tags));"
)

STEPS = (
    "CREATE INDEX catalogue_newest ON catalogue (guild, id)",
    f"CREATE VIRTUAL TABLE archive_search USING fts5({WORDS}, content='catalogue', content_rowid='id',"
    " prefix='1 2 3', detail=none, columnsize=0, tokenize='unicode61 remove_diacritics 2')",
    "CREATE TABLE archive_tag (guild TEXT NOT NULL, tag TEXT NOT NULL, id INTEGER NOT NULL,"
    " PRIMARY KEY (guild, tag, id)) WITHOUT ROWID",
    f"CREATE TRIGGER archive_added AFTER INSERT ON catalogue BEGIN {ADD_WORDS} {ADD_TAGS} END",
    f"CREATE TRIGGER archive_removed AFTER DELETE ON catalogue BEGIN {DROP_WORDS} {DROP_TAGS} END",
    f"CREATE TRIGGER archive_changed AFTER UPDATE ON catalogue"
    f" WHEN ({OLD}, old.guild, old.id) IS NOT ({NEW}, new.guild, new.id)"
    f" BEGIN {DROP_WORDS} {DROP_TAGS} {ADD_WORDS} {ADD_TAGS} END",
    "INSERT INTO archive_search (archive_search) VALUES ('rebuild')",
    "INSERT INTO archive_tag SELECT DISTINCT guild, value, catalogue.id FROM catalogue, json_each(tags)",
)


def up(migrator: Any, db: Any) -> None:
    for step in STEPS:
        db.execute_sql(step)
