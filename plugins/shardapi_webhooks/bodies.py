"""What calls about webhooks are given."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated

from msgspec import Meta

from shardapi import Body, FieldError, Query, clock, errors
from shardapi.events import matches

from .signatures import PREFIX, key_of

LEAST_SECRET, MOST_SECRET = 16, 256
Pattern = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9_.*?-]{1,64}$(?!\n)",
        description="A type of event, or a pattern of types: up to 64 of a-z 0-9 _ . - * ?",
        examples=["user.*"],
    ),
]
GivenSecret = Annotated[
    str,
    Meta(
        max_length=MOST_SECRET,
        description=f"What signs, {LEAST_SECRET} to {MOST_SECRET} characters; what follows whsec_ is base64."
        " Left out, one is made",
    ),
]


class WebhookBody(Body, kw_only=True):
    """A URL and the events it is to be sent."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=2048,
            description="http or https, on the public internet",
            examples=["https://example.com/starcomms"],
        ),
    ]
    events: Annotated[
        tuple[Pattern, ...],
        Meta(max_length=50, description="Types of event, * is any text; none is all but ptt.*"),
    ] = ()
    secret: GivenSecret = ""
    ordered: Annotated[
        bool,
        Meta(description="Whether each event waits for the one before it; else eight are sent at a time"),
    ] = True


class RotateBody(Body, kw_only=True):
    secret: GivenSecret = ""


class ReplayBody(Body, kw_only=True):
    since: Annotated[
        str,
        Meta(
            max_length=100,
            description="The id of the event after which to begin, or a time in ISO 8601; left out, only what is"
            " parked is sent again",
            examples=["5f0c3a9e-118"],
        ),
    ] = ""


class DeliveriesQuery(Query, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=100, description="How many of each list, the newest first")] = 50


def check_events(events: Iterable[str], types: Iterable[str]) -> tuple[str, ...]:
    """The patterns, each once. Raises invalid_value for one that names no type of event."""
    known, found = list(types), tuple(dict.fromkeys(events))
    for place, pattern in enumerate(found):
        if not any(matches(type_, (pattern,)) for type_ in known):
            close = get_close_matches(pattern, known, 1)
            hint = f"Did you mean {close[0]}?" if close else "GET /api/v1/webhooks lists the types of event."
            raise errors.INVALID_VALUE(
                f"{pattern} names no type of event.",
                hint=hint,
                errors=(FieldError(f"events[{place}]", "names no type of event"),),
            )
    return found


def check_secret(secret: str) -> None:
    """Raises invalid_value for what cannot sign."""
    why = ""
    try:
        if len(secret) < LEAST_SECRET:
            why = f"has fewer than {LEAST_SECRET} characters"
        elif not key_of(secret):
            why = f"has nothing after {PREFIX}"
    except (ValueError, UnicodeEncodeError):
        why = f"is no base64 after {PREFIX}"
    if why:
        raise errors.INVALID_VALUE(
            f"The secret {why}.", hint="Leave it out, and one is made.", errors=(FieldError("secret", why),)
        )


def time_of(text: str) -> int | None:
    """A time in milliseconds; None for what is none."""
    try:
        return clock.ms(text)
    except (ValueError, OverflowError):
        return None
