"""Clients that ask a server without a pause, to count what fails while it is worked on; a program too."""

import http.client
import json
import sys
import threading
from urllib.parse import urlsplit

from served import eventually


class Crowd:
    """Clients that ask without a pause, each on a connection that it keeps while it may."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self.netloc = urlsplit(url).netloc
        self.failed: list[BaseException] = []
        self.done = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self.netloc, timeout=20)
        try:
            while not self._stop.is_set():
                connection.request("GET", "/health")
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200
                self.done += 1
                self._stop.wait(0.002)
        except BaseException as error:
            self.failed.append(error)
        finally:
            connection.close()

    def goes_on(self, calls: int = 30) -> None:
        """Wait until so many more were answered."""
        wanted = self.done + calls
        eventually(lambda: self.failed or self.done >= wanted)
        assert not self.failed


def main() -> None:
    """Ask a URL until standard input ends, and print how it went: for those in another network namespace."""
    with Crowd(sys.argv[1]) as crowd:
        sys.stdin.read()
    print(json.dumps({"done": crowd.done, "failed": [repr(error) for error in crowd.failed]}))


if __name__ == "__main__":
    main()
