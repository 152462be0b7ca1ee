"""The panel's tables; a session and a link are of one epoch of the store, so that a restore brings none back."""

import peewee

from shardapi import Model


class PanelSession(Model):
    """Somebody who is signed in; the secret of their cookie is kept as a digest."""

    id = peewee.TextField(primary_key=True)
    guild = peewee.TextField()
    digest = peewee.BlobField()
    who = peewee.TextField()
    way = peewee.TextField()
    signed_in_at = peewee.IntegerField()
    last_used_at = peewee.IntegerField()
    address = peewee.TextField()
    agent = peewee.TextField()
    epoch = peewee.TextField()


class PanelLink(Model):
    """A link that nobody has used yet."""

    digest = peewee.BlobField(primary_key=True)
    guild = peewee.TextField()
    who = peewee.TextField()
    expires_at = peewee.IntegerField()
    epoch = peewee.TextField()


class PanelPassword(Model):
    """The password of a guild's panel, hashed."""

    guild = peewee.TextField(primary_key=True)
    hash = peewee.TextField()
    set_at = peewee.IntegerField()
