"""The server's logger. It logs failures only, and never a secret."""

from __future__ import annotations

import logging
from typing import Final

logger: Final = logging.getLogger("agentkeys.server")
