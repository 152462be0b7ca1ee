"""The forms of keys and operator tokens: what may be typed, and what is said of what may not."""

import re
from typing import Any

from wtforms import Form, IntegerField, RadioField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, NumberRange, Optional, ValidationError

from shardapi.fields import CONTROLS

MOST_NAME, MOST_DAYS, MOST_ROLES = 64, 3650, 250
USER_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
CONTROL = re.compile(f"[{CONTROLS}]")
SINGLE = "single"


def printable(form: Form, field: StringField) -> None:
    """A name: 1 to 64 characters, none of them a control character."""
    field.data = (field.data or "").strip()
    if not 1 <= len(field.data) <= MOST_NAME:
        raise ValidationError(f"Write 1 to {MOST_NAME} characters.")
    if CONTROL.search(field.data):
        raise ValidationError("It has a control character, such as a line break.")


def user_id(form: Form, field: StringField) -> None:
    """An id as tokens carry it."""
    field.data = (field.data or "").strip()
    if not USER_ID.fullmatch(field.data):
        raise ValidationError("A user id is 1 to 64 of A-Z a-z 0-9 _ . : - such as a Discord id.")


def role_ids(form: Form, field: StringField) -> None:
    """Ids with commas or spaces between them."""
    roles = split(field.data)
    if len(roles) > MOST_ROLES:
        raise ValidationError(f"At most {MOST_ROLES} roles.")
    for role in roles:
        if not USER_ID.fullmatch(role):
            raise ValidationError(f"“{role[:40]}” is no role id.")


def split(text: str | None) -> list[str]:
    """The ids in a field."""
    return list(dict.fromkeys(re.split(r"[\s,]+", text.strip()))) if text and text.strip() else []


class KeyForm(Form):  # type: ignore[misc]
    """A new key."""

    name = StringField("Name", [printable])
    kind = RadioField("Kind", choices=["owner", "service"], default="owner")
    bundle = RadioField("Scopes", default=SINGLE)
    scopes = SelectMultipleField("Single scopes")
    days = IntegerField(
        "Days until it ends",
        [Optional(), NumberRange(1, MOST_DAYS, f"Write 1 to {MOST_DAYS} days, or leave it empty for never.")],
    )

    def validate_scopes(self, field: Any) -> None:
        """An owner key can do something; a service key has no scopes."""
        chosen = bool(field.data) or self.bundle.data != SINGLE
        if self.kind.data == "service" and chosen:
            raise ValidationError("A service key has no scopes: take them out, or make an owner key.")
        if self.kind.data == "owner" and not chosen:
            raise ValidationError("Choose a bundle, or at least one scope.")


class TokenForm(Form):  # type: ignore[misc]
    """A new operator token."""

    user_id = StringField("User id", [user_id])
    name = StringField("Display name", [printable])
    roles = StringField("Roles", [role_ids])
    days = IntegerField(
        "Days until it ends",
        [
            InputRequired("Write a number of days."),
            NumberRange(1, MOST_DAYS, f"Write 1 to {MOST_DAYS} days."),
        ],
        default=30,
    )
