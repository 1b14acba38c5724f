"""The stand-in as its own process. Prints `ready PORT` when it listens; SIGTERM or SIGINT ends it cleanly."""

import argparse
import asyncio
import signal
from pathlib import Path

from tests.support.qdrant_grpc.server import StandInServer


async def serve(port: int, directory: Path | None) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with StandInServer(directory, port=port) as server:
        print(f"ready {server.port}", flush=True)
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dir", type=Path, default=None)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.dir))


if __name__ == "__main__":
    main()
