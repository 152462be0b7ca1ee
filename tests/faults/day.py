"""A day on the air in a hurry: people come, talk and go, some without a word, and the server is killed among them."""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

from shardapi.testing import Server

from .crowd import Crowd, Peer, on_nets

PEOPLE, NETS, AT_ONCE = 40, 3, 3
HEARTBEAT = "SHARDAPI_PLUGINS__GATEWAY__HEARTBEAT_SECONDS"


class Day:
    """People who do one thing after another, chosen by a seed."""

    def __init__(self, server: Server, crowd: Crowd, seed: int) -> None:
        self.server, self.crowd, self.chance = server, crowd, random.Random(seed)
        self.people = [str(10**17 + number) for number in range(PEOPLE)]
        self.nets = [net["netUid"] for net in on_nets(server, self.people, NETS)]
        self.lost = 0

    def life(self, things: int) -> None:
        """So many things, one after another."""
        doing = {
            self.come: 30,
            self.key_up: 40,
            self.key_down: 30,
            self.leave: 6,
            self.cut: 6,
            self.lose: 6,
            self.send_home: 1,
            self.unassign: 2,
            self.close_operation: 1,
        }
        for thing in self.chance.choices(list(doing), list(doing.values()), k=things):
            thing()
            self.crowd.idle(self.chance.uniform(0, 0.012))

    def someone(self) -> Peer | None:
        """Someone on the air."""
        joined = self.crowd.joined
        return self.chance.choice(joined) if joined else None

    # -- what people do

    def come(self) -> None:
        user = self.chance.choice(self.people)
        if sum(peer.user == user for peer in self.crowd.peers.values()) < AT_ONCE:
            self.crowd.begin(user)

    def key_up(self) -> None:
        if (peer := self.someone()) is not None:
            self.crowd.send(peer, type="ptt.start", netUid=self.chance.choice(self.nets))

    def key_down(self) -> None:
        if (peer := self.someone()) is not None:
            self.crowd.send(peer, type="ptt.stop", netUid=self.chance.choice(self.nets))

    def leave(self) -> None:
        if (peer := self.someone()) is not None:
            self.crowd.leave(peer)

    def cut(self) -> None:
        if (peer := self.someone()) is not None:
            self.crowd.cut(peer, reset=self.chance.random() < 0.5)

    def lose(self) -> None:
        if (peer := self.someone()) is not None:
            self.crowd.lose(peer)
            self.lost += 1

    # -- what is done to them

    def send_home(self) -> None:
        if (peer := self.someone()) is not None:
            self.server.post("/clients/disconnect", {"userId": peer.user})

    def unassign(self) -> None:
        if (peer := self.someone()) is not None:
            net = {"userId": peer.user, "netUid": self.chance.choice(self.nets)}
            self.server.post("/assignments", {**net, "action": "unassign"})
            self.server.post("/assignments", net)

    def close_operation(self) -> None:
        self.server.post("/operation", {"open": False})
        self.server.post("/operation", {"open": True})

    # -- what happens to the server

    def kill_worker(self) -> None:
        """SIGKILL the worker; its master starts another."""
        old = self.server.worker_pid
        os.kill(old, signal.SIGKILL)
        self._serves_without(old)

    def kill_everything(self) -> None:
        """SIGKILL it all, and start it again."""
        self.server.kill()
        self.crowd.forget()
        self.server.start()

    def hang_up(self) -> None:
        """HUP: a new worker takes over from the old one, while people go on."""
        old = self.server.worker_pid
        os.kill(self.server.pid, signal.SIGHUP)
        self._serves_without(old)

    def stop(self) -> None:
        """Stop it properly, and start it again."""
        self.server.stop()
        self.crowd.forget()
        self.server.start()

    def kill_while_it_retires(self) -> None:
        """HUP, and SIGKILL for the old worker at some moment while the new one starts and takes over."""
        old = self.server.worker_pid
        os.kill(self.server.pid, signal.SIGHUP)
        self.life(self.chance.randrange(1, 80))
        with suppress(ProcessLookupError):
            os.kill(old, signal.SIGKILL)
        self._serves_without(old)

    def _serves_without(self, old: int) -> None:
        def anew() -> bool:
            if self.server.worker_pid in (0, old) or Path(f"/proc/{old}").exists():
                return False
            with suppress(OSError):
                return self.server.get("/ws", key="").status_code != 503
            return False

        self.crowd.until(anew)
