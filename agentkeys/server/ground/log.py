"""The server's logger. It says nothing as long as all goes well, and never a secret."""

from __future__ import annotations

import logging
from typing import Final

logger: Final = logging.getLogger("agentkeys.server")
