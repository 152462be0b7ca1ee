"""For those who start gunicorn themselves: `gunicorn -c conf/gunicorn.conf.py`; `shardapi serve` does not need it.

The settings are the package's own, each from a measurement; SHARDAPI_CONFIG and the other variables count as ever.
What you set below the import wins, but a second worker is refused.
"""

from shardapi.server import *  # noqa: F403
