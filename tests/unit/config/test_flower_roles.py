"""Which roles FLOWER_ROLES gives to whom."""

import pytest

from config.flower_roles import ALL_ROLES, Role, parse_roles, roles_of


def test_a_user_has_the_roles_that_are_named_and_may_read() -> None:
    roles = parse_roles("ada:decide+reveal, grace@example.com:read,")
    assert roles == {
        "ada": {Role.READ, Role.DECIDE, Role.REVEAL},
        "grace@example.com": {Role.READ},
    }


@pytest.mark.parametrize(
    "wrong", ["ada", "ada:", ":read", "ada:root", "ada:read,ADA:decide", "ada:read decide"]
)
def test_what_is_not_understood_is_a_fault(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"FLOWER|must be|knows|twice"):
        parse_roles(wrong)


def test_without_any_roles_who_logs_in_may_do_all() -> None:
    assert roles_of("ada", {}, ()) == ALL_ROLES


def test_who_is_not_named_reads_or_has_the_roles_of_everybody_else() -> None:
    assert roles_of("eve", parse_roles("ada:administer"), ()) == {Role.READ}
    assert roles_of("eve", parse_roles("ada:administer,*:reveal"), ()) == {Role.READ, Role.REVEAL}


def test_a_read_only_user_changes_nothing_whatever_the_roles_and_the_case_say() -> None:
    assert roles_of("Grace", parse_roles("grace:decide+administer+reveal"), ("GRACE",)) == {
        Role.READ,
        Role.REVEAL,
    }
    assert roles_of("grace", {}, ("grace",)) == {Role.READ, Role.REVEAL}
