"""Who is let in: the limit that a deadline means, shares of tenants, and what is kept of whom."""

import random

import pytest

from runtime.admission.bounds import Admission, Bound, Pace, Place, Reason, Refused


def filled(bound: Bound, *tenants: str) -> tuple[Admission, list[Place]]:
    door = Admission(bound)
    places = [door.enter(tenant, 0.0) for tenant in tenants]
    assert all(isinstance(place, Place) for place in places)
    return door, places  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("stays", "each"),
    [
        ([(0.2, 10)], 0.02),
        ([(0.2, 10)] * 50, 0.02),
        # Half of the answers come at once: the others' stay is what a deadline has to be held against.
        ([(0.2, 10), (0.001, 10)] * 50, 0.02),
        # Requests with a mistake in them are answered in a millisecond, and open the door no wider.
        ([(0.2, 10)] + [(0.001, 10)] * 50, 0.0159),
    ],
)
def test_the_pace_is_the_stay_for_each_request_beside(stays, each):
    pace = Pace(stay_s=0.05, among=2)
    for number, (stay, among) in enumerate(stays):
        pace.measured(stay, among, number / 1000)
    assert pace.seconds_each == pytest.approx(each, rel=0.35)


def test_an_old_pace_fades_and_a_lone_one_is_kept():
    pace = Pace(stay_s=0.25, among=16)
    pace.measured(2.0, 10, 0.0)
    assert pace.seconds_each == pytest.approx(0.17, rel=0.02)
    for number in range(40):
        pace.measured(0.2, 10, 1000.0 + number / 40)
    assert pace.seconds_each == pytest.approx(0.02, rel=0.25)


def test_where_no_time_is_given_the_count_alone_bounds():
    door, places = filled(Bound(most=2), "norte", "norte")
    refused = door.enter("norte", 0.0)
    assert refused == Refused(Reason.FULL, 1)
    door.leave(places[0], 9.0)
    assert isinstance(door.enter("norte", 9.0), Place)


def test_the_limit_is_what_the_deadline_means_at_the_measured_pace():
    door = Admission(Bound(most=128, within_s=0.25))
    for step in range(200):
        now = step / 20
        places = []
        while isinstance(place := door.enter("norte", now), Place):
            places.append(place)
        for place in places:
            door.leave(place, now + 0.02 * place.among)
    assert door.limit == pytest.approx(12.5, rel=0.6)
    assert door.inside == 0


@pytest.mark.parametrize(("late", "limit"), [(0.0, 16), (0.1, 9.6), (0.2, 6.4), (9.0, 6.4)])
def test_what_a_request_has_waited_before_it_came_is_taken_off_its_time(late, limit):
    door = Admission(Bound(most=128, within_s=0.25))
    door.behind(late)
    assert door.limit == pytest.approx(limit)


def test_a_quiet_time_changes_nothing():
    door = Admission(Bound(most=128, within_s=0.25))
    before = door.limit
    for number in range(100):
        door.leave(door.enter("norte", number), number + 0.9)
    assert door.limit == before


def test_one_stall_does_not_close_the_door():
    door, places = filled(Bound(most=128, within_s=0.25, least=4), *["norte"] * 16)
    for place in places:
        door.leave(place, 30.0)
    assert door.limit == 4
    assert isinstance(door.enter("norte", 30.0), Place)


def test_a_tenant_alone_may_have_all():
    door, _ = filled(Bound(most=8), *["norte"] * 8)
    assert isinstance(door.enter("norte", 0.0), Refused)
    assert door.closed() is None  # another tenant would still be let in
    assert isinstance(door.enter("sur", 0.0), Place)


def test_one_that_holds_more_than_its_share_waits_for_the_others():
    door, norte = filled(Bound(most=8), *["norte"] * 8)
    sur = [door.enter("sur", 0.0), door.enter("sur", 0.0)]
    assert door.closed() == Refused(Reason.FULL, 1)
    for place in norte[:2]:
        door.leave(place, 1.0)
    # The room is full: eight again. The one below its share enters, the one above does not.
    assert door.enter("norte", 1.0) == Refused(Reason.SHARE, 1)
    assert isinstance(door.enter("sur", 1.0), Place)
    assert all(isinstance(place, Place) for place in sur)


def test_what_a_tenant_does_not_use_others_may():
    door, _ = filled(Bound(most=8), "sur", *["norte"] * 7)
    assert door.enter("norte", 0.0) == Refused(Reason.SHARE, 1)
    assert isinstance(door.enter("sur", 0.0), Place)


def test_nothing_is_kept_of_a_tenant_without_work():
    door = Admission(Bound(most=8))
    for number in range(3_000):
        place = door.enter(f"made-up-{number}", 0.0)
        door.leave(place, 0.1)
    assert (door.inside, door.tenants) == (0, 0)


def test_every_tenant_gets_its_share_of_a_flood_however_much_one_asks():
    door, draw = Admission(Bound(most=12)), random.Random(7)
    inside: list[Place] = []
    done = {"flood": 0, "small": 0, "tiny": 0}
    for step in range(20_000):
        tenant = draw.choices(["flood", "small", "tiny"], [90, 8, 2])[0]
        if isinstance(place := door.enter(tenant, step), Place):
            inside.append(place)
        if step % 10 == 0:  # one in ten can be answered: small and tiny together ask for all of that
            gone = inside.pop(draw.randrange(len(inside)))
            done[gone.tenant] += 1
            door.leave(gone, step)
    answered = sum(done.values())
    assert done["tiny"] / answered == pytest.approx(0.2, abs=0.04)  # all that it asked for
    assert done["small"] / answered > 0.3  # of the 0.8 that it asked for, beside nine tenths of the demand
    assert done["flood"] / answered < 0.5
