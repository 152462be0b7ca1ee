"""The usual way with the `websockets` library: its server, and its own broadcast to everyone connected."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import msgspec
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.http11 import Request, Response

connected: set[ServerConnection] = set()


async def operator(connection: ServerConnection) -> None:
    """Answer a join, and tell everyone when a key goes up or down; no other duty."""
    assert connection.request is not None
    user = connection.request.headers["Authorization"].removeprefix("Bearer ")
    async for text in connection:
        message = msgspec.json.decode(text)
        match message["type"]:
            case "join":
                connected.add(connection)
                await connection.send('{"type":"joined"}')
            case "ptt.start":
                tell("ptt.start", {"userId": user, "displayName": name(user), "netId": 1})
            case "ptt.stop":
                said = {"userId": user, "displayName": name(user), "netId": 1, "reason": "released"}
                tell("ptt.stop", said)
    connected.discard(connection)


def name(user: str) -> str:
    """The display name that the benchmark puts in the tokens of shardapi."""
    return f"Operator {user[-4:]}"


def tell(kind: str, data: dict[str, object]) -> None:
    """Broadcast the frame that shardapi sends."""
    broadcast(connected, msgspec.json.encode({"type": kind, "data": data}), text=True)


def health(connection: ServerConnection, request: Request) -> Response | None:
    """Answer what asks whether the server is there."""
    return connection.respond(HTTPStatus.OK, "ok") if request.path == "/health" else None


async def main() -> None:
    """Serve until killed, on a port that the kernel picks."""
    server: Server
    async with serve(operator, "127.0.0.1", 0, compression=None, process_request=health) as server:
        host, port = next(iter(server.sockets)).getsockname()
        print(f"http://{host}:{port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
