"""Rotation of the signing keys, over time."""

from datetime import timedelta

from chassis.database import Database
from chassis.testing.service import ServiceUnderTest
from sqlalchemy import update
from support.people import People

from auth_service.keys import Keys
from auth_service.settings import Settings
from auth_service.storage import signing_keys

Service = ServiceUnderTest[Settings]


async def test_a_new_key_is_published_before_it_signs_and_the_old_one_stays_until_it_is_not_needed_a2(
    service: Service, people: People
) -> None:
    database: Database = service.app.state.database
    keys: Keys = service.app.state.keys
    person = await people.somebody()
    old = [key["kid"] for key in (await keys.published())["keys"]]

    await _make_older(database, timedelta(seconds=service.settings.key_rotation_seconds))
    await keys.rotate()

    published = [key["kid"] for key in (await keys.published())["keys"]]
    assert published[:-1] == old
    assert len(published) == len(old) + 1
    assert (await people.me(person.headers)).status_code == 200

    await _make_older(database, timedelta(seconds=3 * service.settings.access_token_seconds))
    await keys.rotate()

    assert [key["kid"] for key in (await keys.published())["keys"]] == published[-1:]
    fresh = await people.again(person)
    assert (await people.me(fresh.headers)).status_code == 200


async def _make_older(database: Database, age: timedelta) -> None:
    async with database.begin() as session:
        await session.execute(update(signing_keys).values(signs_from=signing_keys.c.signs_from - age))
