"""A process that submits a thousand orders and relays them, to be killed: `python -m tests.support.agent.submitter`.

It submits every order of the run, in an order of its own, one in three of them twice at the same moment (a double
click). A process that is started again begins from the front: everything that it did before is a retry.
"""

import asyncio
import random
import sys

from pydantic import SecretStr

from agent.conversation.order import Order
from agent.orders.outbox import Outbox
from agent.orders.publishing import KafkaOrderPublisher
from agent.orders.relay import RELAY_BACKOFF, OutboxRelay
from agent.orders.store import OrderStore
from agent.settings import DatabaseSettings, OrderSettings
from agent.storage.database import Database
from runtime.supervision import Supervisor
from schemas.errors import RetryableError
from schemas.topics import KafkaSettings
from tests.support.agent.orders import line, order


def made_order(number: int) -> Order:
    return order(f"order-{number:06}", line(f"SKU-{number % 37}", str(number % 90 + 1)), thread=f"thread-{number}")


async def main(url: str, bootstrap: str, topic: str, orders: int, seed: int) -> None:
    database = await Database.open(DatabaseSettings(url=SecretStr(url)))
    settings = OrderSettings(topic=topic, poll_s=0.05, lease_s=5, batch=50)
    kafka = KafkaSettings(bootstrap=bootstrap, partitions=3)
    publisher = KafkaOrderPublisher(kafka, topic)
    relay = OutboxRelay(Outbox(database), publisher, settings)
    supervisor = Supervisor()
    supervisor.start("order-relay", relay.run, backoff=RELAY_BACKOFF)
    store, chance = OrderStore(database), random.Random(seed)
    numbers = list(range(orders))
    chance.shuffle(numbers)
    for number in numbers:
        clicks = 2 if chance.random() < 1 / 3 else 1
        await asyncio.gather(*(_until_submitted(store, made_order(number)) for _ in range(clicks)))
        relay.wake()
    print("submitted everything", flush=True)
    while (await Outbox(database).backlog()).pending:  # noqa: ASYNC110 - other processes empty it too
        await asyncio.sleep(0.1)
    await supervisor.stop()
    await publisher.close()
    await database.close()
    print("published everything", flush=True)


async def _until_submitted(store: OrderStore, wanted: Order) -> None:
    while True:
        try:
            await store.submit(wanted)
        except RetryableError:
            await asyncio.sleep(0.05)
            continue
        return


if __name__ == "__main__":
    url, bootstrap, topic, orders, seed = sys.argv[1:]
    asyncio.run(main(url, bootstrap, topic, int(orders), int(seed)))
