"""Observe calls with OpenTelemetry: one span for each try, and the duration as a metric.

It needs the extra ``otel``. The names are those of OpenTelemetry's stable semantic conventions for
HTTP clients (https://opentelemetry.io/docs/specs/semconv/http/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentkeys import __version__
from agentkeys.errors import ConfigurationError
from agentkeys.observers import Call, Observer, Outcome

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise ConfigurationError(
        "the OpenTelemetry observer needs opentelemetry-api: pip install 'agentkeys-sdk[otel]'"
    ) from None

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["OpenTelemetryObserver"]

_SCOPE: Final = "agentkeys"
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.23.0"
# Semantic conventions, HTTP metrics: the advised boundaries, in seconds.
_BOUNDARIES: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_PORTS: Final = {"https": 443, "http": 80}


class OpenTelemetryObserver(Observer):
    """Creates a client span for each try, and records ``http.client.request.duration`` in seconds.

    A retry has ``http.request.resend_count``. The spans are children of the span that is current
    where the call is made. Secrets in addresses are masked.

    Args:
        tracer_provider: creates the spans; defaults to the global provider.
        meter_provider: receives the metric; defaults to the global provider.

    Raises:
        ConfigurationError: the extra ``otel`` is not installed.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider, _SCHEMA)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider, _SCHEMA)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self._spans: dict[Call, Span] = {}

    def begin_try(self, call: Call, number: int) -> None:
        """Start the span of a try."""
        attributes = _of_server(call) | {"url.full": f"{call.base_url}{call.path}"}
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        self._spans[call] = self._tracer.start_span(
            f"{call.method} {call.route}",
            kind=SpanKind.CLIENT,
            attributes=attributes | {"url.template": call.route},
        )

    def end_try(self, call: Call, outcome: Outcome) -> None:
        """End the span of a try, and record its duration."""
        span, ended = self._spans.pop(call), _of_answer(outcome)
        span.set_attributes(ended)
        if outcome.error is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end()
        self._duration.record(outcome.seconds, _of_server(call) | ended)


def _of_server(call: Call) -> dict[str, Any]:
    address = urlsplit(call.base_url)
    return {
        "http.request.method": call.method,
        "server.address": address.hostname or "",
        "server.port": address.port or _PORTS.get(address.scheme, 0),
        "url.scheme": address.scheme,
    }


def _of_answer(outcome: Outcome) -> dict[str, Any]:
    ended: dict[str, Any] = {}
    if outcome.status is not None:
        ended["http.response.status_code"] = outcome.status
    if outcome.error is not None:
        is_refused = outcome.status is not None and outcome.status >= 400
        ended["error.type"] = str(outcome.status) if is_refused else outcome.error
    return ended
