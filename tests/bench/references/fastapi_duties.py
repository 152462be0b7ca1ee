"""FastAPI on uvicorn with shardapi's duties: key, scope, response model, limit headers, metrics, audit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from prometheus_client import Histogram
from pydantic import BaseModel
from sample import PATH, SCOPE, STATUS, Key, find_key
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LIMIT = 100_000_000
WINDOW = 60


class PublicNet(BaseModel):
    enabled: bool
    name: str
    roleIds: list[str]


class Shard(BaseModel):
    name: str
    publicUrl: str
    version: str
    startedAt: str
    connectedOperators: int


class Net(BaseModel):
    id: int
    uid: str
    netUid: str
    name: str
    occupancy: int
    members: int
    transmitting: list[str]
    tx: bool
    relayTargetNetIds: list[int]
    relayTargetNetUids: list[str]


class Status(BaseModel):
    ok: bool
    guildId: str
    guildName: str
    operationOpen: bool
    version: int
    updatedAt: str
    connectedOperators: int
    connected: int
    publicNet: PublicNet
    features: dict[str, Any]
    shard: Shard
    nets: list[Net]


class Windows:
    """A fixed window per key: the cheapest limit there is."""

    def __init__(self) -> None:
        self.used: dict[str, tuple[int, int]] = {}

    def spend(self, name: str, response: Response) -> None:
        """Count one request and say what is left."""
        now = time.time()
        window = int(now) // WINDOW
        began, used = self.used.get(name, (window, 0))
        used = used + 1 if began == window else 1
        self.used[name] = (window, used)
        left = LIMIT - used
        if left < 0:
            raise HTTPException(429)
        reset = (window + 1) * WINDOW
        headers = response.headers
        headers["RateLimit-Policy"] = f'"default";q={LIMIT};w={WINDOW}'
        headers["RateLimit"] = f'"default";r={left};t={reset - int(now)}'
        headers["X-RateLimit-Limit"] = str(LIMIT)
        headers["X-RateLimit-Remaining"] = str(left)
        headers["X-RateLimit-Reset"] = str(reset)


class Duties:
    """Metrics and audit, as plain ASGI: `BaseHTTPMiddleware` would cost more than both."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.seconds = Histogram("http_request_duration_seconds", "", ["method", "path", "status"])
        self.audit: deque[tuple[float, str, str, str, int, str]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route = scope.get("route")
            path = route.path if route else ""
            self.seconds.labels(scope["method"], path, status).observe(time.perf_counter() - began)
            key = scope.get("state", {}).get("key", "")
            client = scope["client"][0] if scope["client"] else ""
            self.audit.append((time.time(), key, scope["method"], scope["path"], status, client))
        return None

    async def drain(self) -> None:
        """Empty the queue each second; where to is not part of what is compared."""
        while True:
            await asyncio.sleep(1)
            self.audit.clear()


windows = Windows()


async def check_key(
    request: Request, response: Response, authorization: Annotated[str | None, Header()] = None
) -> Key:
    """401 without a key, 403 without the scope, 429 over the limit."""
    key = find_key(authorization)
    if key is None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    if SCOPE not in key.scopes:
        raise HTTPException(403)
    windows.spend(key.id, response)
    request.state.key = key.id
    return key


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    draining = asyncio.create_task(app.drain())
    yield
    draining.cancel()


api = FastAPI(lifespan=lifespan)


@api.get(PATH)
async def status(key: Annotated[Key, Depends(check_key)]) -> Status:
    """The sample, validated and serialised anew for each request."""
    return STATUS  # type: ignore[return-value]


app = Duties(api)
