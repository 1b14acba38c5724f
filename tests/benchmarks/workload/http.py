"""A small HTTP/1.1 client: persistent connections and nothing else, so that the load costs the machine little."""

import asyncio
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    body: bytes


class HttpPool:
    """At most `connections` requests at once; a further one waits for its turn."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._host = host
        self._port = port
        self._free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.LifoQueue()
        for _ in range(connections):
            self._free.put_nowait(None)

    async def get(self, path: str) -> Answer:
        return await self._exchange(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    async def post(self, path: str, body: bytes) -> Answer:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return await self._exchange(head.encode() + body)

    async def _exchange(self, request: bytes) -> Answer:
        connection = await self._free.get()
        try:
            if connection is None:
                connection = await asyncio.open_connection(self._host, self._port)
            reader, writer = connection
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            headers = dict(line.lower().split(b": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers[b"content-length"]))
        except BaseException:
            if connection is not None:
                connection[1].close()
            self._free.put_nowait(None)
            raise
        if headers.get(b"connection") == b"close":
            writer.close()
            connection = None
        self._free.put_nowait(connection)
        return Answer(int(head[0].split(b" ")[1]), body)

    async def close(self) -> None:
        while not self._free.empty():
            connection = self._free.get_nowait()
            if connection is not None:
                connection[1].close()
