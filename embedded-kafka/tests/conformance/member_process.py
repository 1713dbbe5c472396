"""A group's member in a process of its own, so that it can die: `member_process.py CLIENT BOOTSTRAP GROUP TOPIC`.

It says "reading" when it has its first record.
"""

import asyncio
import sys
from pathlib import Path

SESSION_MS = 1000


async def main(client_name: str, bootstrap: str, group: str, topic: str) -> None:
    from conformance.aiokafka_client import AiokafkaClient
    from conformance.client import Client
    from conformance.confluent_client import ConfluentClient

    client: Client = {"aiokafka": AiokafkaClient, "confluent": ConfluentClient}[client_name](bootstrap)
    member = await client.member(group, topic, session_ms=SESSION_MS)
    while not await member.poll(1):
        pass
    sys.stdout.write("reading\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    asyncio.run(main(*sys.argv[1:]))
