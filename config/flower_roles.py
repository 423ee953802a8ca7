"""What users of Flower may do, as FLOWER_ROLES says it. Pure: no I/O."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

EVERYBODY_ELSE = "*"


class Role(StrEnum):
    """What a user of Flower may do; whoever logs in may read."""

    READ = "read"  # see pages and numbers, with personal data masked
    DECIDE = "decide"  # retry, discard, edit, skip, pause and resume
    REVEAL = "reveal"  # see personal data
    ERASE = "erase"  # delete all that is stored of a person
    ADMINISTER = "administer"  # stop workers, change their pools and queues, revoke tasks


ALL_ROLES = frozenset(Role)
CHANGES = frozenset({Role.DECIDE, Role.ERASE, Role.ADMINISTER})


def parse_roles(value: Any) -> Any:
    """Return {user: roles} of ``ada:decide+reveal, grace:read, *:read``; ValueError says which part is wrong."""
    if not isinstance(value, str):
        return value
    roles: dict[str, frozenset[Role]] = {}
    for part in filter(None, map(str.strip, value.split(","))):
        user, colon, names = part.rpartition(":")
        user = user.strip().casefold()
        if not colon or not user:
            raise ValueError("must be like ada:decide+reveal,grace:read,*:read")
        if user in roles:
            raise ValueError("names a user twice")
        roles[user] = frozenset(map(_role, names.split("+"))) | {Role.READ}
    return roles


def _role(name: str) -> Role:
    try:
        return Role(name.strip())
    except ValueError:
        raise ValueError(f"knows the roles {', '.join(Role)}, joined by +") from None


def roles_of(
    user: str, given: Mapping[str, frozenset[Role]], read_only_users: tuple[str, ...]
) -> frozenset[Role]:
    """Return a user's roles. Where any are given, who is not named has those of ``*``, or reads."""
    name = user.casefold()
    named = given.get(name, given.get(EVERYBODY_ELSE, frozenset({Role.READ})))
    roles = named if given else ALL_ROLES
    return roles - CHANGES if name in {each.casefold() for each in read_only_users} else roles
