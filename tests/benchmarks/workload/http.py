"""A small HTTP/1.1 client: persistent connections and nothing else, so that the load costs the machine little."""

import asyncio
from typing import NamedTuple

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Answer(NamedTuple):
    status: int
    body: bytes


class HttpPool:
    """At most `connections` requests at once; a further one waits for its turn."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._host = host
        self._port = port
        self._free: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
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
        """Everything asked here may be asked again, so a kept connection that the server has closed is replaced."""
        kept = await self._free.get()
        connection = None
        try:
            if kept is not None:
                try:
                    answer, connection = await _ask(kept, request)
                except (ConnectionError, asyncio.IncompleteReadError):
                    kept[1].close()
                else:
                    return answer
            answer, connection = await _ask(await asyncio.open_connection(self._host, self._port), request)
            return answer
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        while not self._free.empty():
            connection = self._free.get_nowait()
            if connection is not None:
                connection[1].close()


async def _ask(connection: Connection, request: bytes) -> tuple[Answer, Connection | None]:
    """The answer, and the connection where it stays open."""
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers[b"content-length"]))
    answer = Answer(int(head[0].split(b" ")[1]), body)
    if headers.get(b"connection") == b"close":
        writer.close()
        return answer, None
    return answer, connection
