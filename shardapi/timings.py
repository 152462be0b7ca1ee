"""How often something was done and how long it took: integers, counted as it passes, read when scraped."""

from bisect import bisect_left

BOUNDS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)


class Timings:
    """A histogram for each (route, status)."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, int], list[int]] = {}
        self.total_ms: dict[tuple[str, int], float] = {}

    def observe(self, route: str, status: int, ms: float) -> None:
        """Count one answer; the last bucket holds what is slower than every bound."""
        name = (route, status)
        counts = self.counts.get(name)
        if counts is None:
            counts = self.counts[name] = [0] * (len(BOUNDS_MS) + 1)
            self.total_ms[name] = 0.0
        counts[bisect_left(BOUNDS_MS, ms)] += 1
        self.total_ms[name] += ms
