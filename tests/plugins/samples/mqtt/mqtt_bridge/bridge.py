"""The connection to the broker: made anew whenever it breaks, and then everything is told anew."""

import gevent
from paho.mqtt.client import Client, ConnectFlags, MQTTMessageInfo, error_string
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from prometheus_client import Counter, Gauge

from shardapi import Shard, clock
from shardapi.guild import Guild

from .settings import Settings
from .state import GONE, TALK, state_of

LOOK_SECONDS = 0.05
CONNECT_SECONDS = 5.0
FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0


class Refused(ConnectionError):
    """Raised when the broker refuses the connection."""


class Bridge:
    """What this plugin does for one shard."""

    def __init__(self, shard: Shard) -> None:
        self.shard, self.settings = shard, shard.settings(Settings)
        self.since = 0  # when the connection was made (ms), 0 while there is none
        self.problem = ""
        self.connected = Gauge("mqtt_connected", "Whether the broker is there.", registry=None)
        self.published = Counter("mqtt_published_total", "Messages that were sent.", registry=None)
        self._state: dict[str, bytes] = {}
        self._told_of: tuple[Guild, int] | None = None

    def run(self) -> None:
        """Keep the broker told, for as long as it runs."""
        wait = FIRST_WAIT
        while True:
            try:
                self._session()
            except OSError as error:
                if self.since:
                    wait = FIRST_WAIT
                self.problem = type(error).__name__
                self.shard.problems.failed("mqtt", "task", "the connection to the broker", error)
            finally:
                self.since = 0
                self.connected.set(0)
            gevent.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def _session(self) -> None:
        """One connection, until it breaks. Raises OSError.

        A client serves one connection only: it would send what the last one left unsaid after what is true now.
        """
        client = self._client()
        try:
            client.connect(self.settings.host, self.settings.port, self.settings.keepalive_seconds)
            self._await_welcome(client)
            self.since, self.problem = clock.now(), ""
            self.connected.set(1)
            told: dict[str, bytes] = {}
            waiting: dict[str, MQTTMessageInfo] = {}
            while True:
                self._tell(client, told, waiting)
                _turn(client)
        finally:
            sock = client.socket()
            if sock is not None:
                sock.close()  # without a farewell, so that the broker tells the last will

    def _client(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"shardapi-{self.shard.guild_id}")
        client.connect_timeout = CONNECT_SECONDS
        client.will_set(self._topic(TALK), GONE, qos=1, retain=True)
        if self.settings.username:
            client.username_pw_set(self.settings.username, self.settings.password or None)
        if self.settings.tls:
            client.tls_set()
        return client

    def _await_welcome(self, client: Client) -> None:
        answers: list[ReasonCode] = []

        def welcome(
            client: Client, userdata: object, flags: ConnectFlags, reason: ReasonCode, _: Properties | None
        ) -> None:
            answers.append(reason)

        client.on_connect = welcome
        with gevent.Timeout(CONNECT_SECONDS, TimeoutError("the broker does not answer")):
            while not answers:
                _turn(client, answers)
        if answers[0].is_failure:
            raise Refused(str(answers[0]))

    def _tell(self, client: Client, told: dict[str, bytes], waiting: dict[str, MQTTMessageInfo]) -> None:
        """Send what has changed. A topic whose last message is not acknowledged waits, and then tells the newest."""
        for topic, message in self._now().items():
            before = waiting.get(topic)
            if told.get(topic) == message or (before is not None and not before.is_published()):
                continue
            waiting[topic] = client.publish(self._topic(topic), message, qos=1, retain=True)
            told[topic] = message
            self.published.inc()

    def _now(self) -> dict[str, bytes]:
        """The state, made anew only when the guild or who is connected or talks has changed."""
        of = self.shard.guild, self.shard.presence.version
        if self._told_of is None or self._told_of[0] is not of[0] or self._told_of[1] != of[1]:
            self._state, self._told_of = state_of(self.shard), of
        return self._state

    def _topic(self, name: str) -> str:
        return f"{self.settings.prefix}/{name}"


def _turn(client: Client, answers: list[ReasonCode] | None = None) -> None:
    """Send and read what there is, for a moment. Raises ConnectionError, but where the broker has said why."""
    result = client.loop(LOOK_SECONDS)
    if result and not answers:
        raise ConnectionError(error_string(result))
