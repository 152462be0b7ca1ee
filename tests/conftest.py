"""What all tests share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The size that tests which come in two sizes run at."""
    parser.addoption("--size", choices=("ci", "soak"), default="ci", help="how long and large a test may be")


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> str:
    """The size to run at, `ci` or `soak`; choosing the tests marked soak chooses the size."""
    chosen = request.config.getoption("markexpr") == "soak"
    return "soak" if chosen else str(request.config.getoption("size"))
