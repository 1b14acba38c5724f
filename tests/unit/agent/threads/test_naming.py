"""Names of conversations: issued ones nobody can make up, customers' ones nobody else can spell."""

import pytest

from agent.conversation.thread_names import ThreadNames, customer_prefix
from agent.errors import ThreadNameTooLongError
from agent.settings import DatabaseSettings
from agent.storage.database import Database, installation_secret
from schemas.identity import TenantId

NORTE, SUR = TenantId("norte"), TenantId("sur")
NAMES = ThreadNames(b"one secret of thirty-two bytes..")


def test_an_issued_name_is_known_by_who_issued_it_for_its_tenant() -> None:
    name = NAMES.issue(NORTE)
    assert NAMES.is_issued(NORTE, name)
    assert not NAMES.is_issued(SUR, name)
    assert not ThreadNames(b"another secret of this size.....").is_issued(NORTE, name)
    assert name != NAMES.issue(NORTE)


@pytest.mark.parametrize("name", ["", "thread-1", "0" * 32, "t" + "0" * 48, "é" * 49])
def test_a_name_of_ones_own_choice_is_not_issued(name) -> None:
    assert not NAMES.is_issued(NORTE, name)


def test_no_character_of_an_issued_name_can_be_changed() -> None:
    name = NAMES.issue(NORTE)
    changed = {f"{name[:at]}{'0' if name[at] != '0' else '1'}{name[at + 1 :]}" for at in range(len(name))}
    assert not any(NAMES.is_issued(NORTE, one) for one in changed | {name.upper(), f"{name}\n", name[:-1]})


def test_an_idempotency_key_gives_one_name_by_tenant_and_customer() -> None:
    assert NAMES.issue(NORTE, "k-1") == NAMES.issue(NORTE, "k-1")
    named = {
        NAMES.issue(NORTE, "k-1"),
        NAMES.issue(NORTE, "k-2"),
        NAMES.issue(SUR, "k-1"),
        NAMES.of_customer(NORTE, "ana", "", "k-1"),
        NAMES.of_customer(NORTE, "luis", "", "k-1"),
    }
    assert len(named) == 5


def test_customers_names_are_their_own_and_stay_so_when_they_are_named_again() -> None:
    cart = NAMES.of_customer(NORTE, "ana", "cart")
    assert cart == f"{customer_prefix('ana')}cart"
    assert NAMES.of_customer(NORTE, "ana", cart) == cart
    assert NAMES.of_customer(NORTE, "luis", "cart") != cart
    # A name under another's prefix is one more name of one's own, or none.
    with pytest.raises(ThreadNameTooLongError):
        NAMES.of_customer(NORTE, "luis", f"{cart}-and-more-than-fits")
    assert NAMES.of_customer(NORTE, "luis", cart).startswith(customer_prefix("luis"))
    assert NAMES.of_customer(NORTE, "ana", "") != NAMES.of_customer(NORTE, "ana", "")


def test_the_longest_name_that_fits_is_that_of_a_uuid_and_one_more() -> None:
    assert len(NAMES.of_customer(NORTE, "ana", "x" * 37)) == 64
    with pytest.raises(ThreadNameTooLongError, match="at most 37"):
        NAMES.of_customer(NORTE, "ana", "x" * 38)


def test_an_address_is_counted_under_what_does_not_tell_it() -> None:
    assert NAMES.pseudonym("192.0.2.7") == NAMES.pseudonym("192.0.2.7") != NAMES.pseudonym("192.0.2.8")
    assert NAMES.pseudonym("192.0.2.7") != ThreadNames(b"another secret of this size.....").pseudonym("192.0.2.7")
    assert NAMES.pseudonym("") == ""


async def test_every_worker_and_every_restart_has_the_same_secret(tmp_path) -> None:
    found = []
    for _ in range(2):
        database, beside = [await Database.open(DatabaseSettings(directory=tmp_path)) for _ in range(2)]
        found += [await installation_secret(one, "threads") for one in (database, beside)]
        found.append(await installation_secret(database, "other"))
        await database.close()
        await beside.close()
    assert len({*found}) == 2
    assert len(found[0]) == 32
