"""What OpenTelemetry gets of a client: spans and a metric, by the stable conventions for HTTP."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from samples import agentry
from wire import Wire, answer, close, hang

from agentkeys import DeadlineExceededError, RetryPolicy
from agentkeys.observers.opentelemetry import OpenTelemetryObserver

ROUTE = "/human/v0/api-keys/{api_key_id}"


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider
    provider.shutdown()


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def observer(tracing, reader):
    metering = MeterProvider([reader])
    yield OpenTelemetryObserver(tracing, metering)
    metering.shutdown()


@pytest.mark.asyncio
async def test_a_try_is_a_span(observer, spans, tracing, reader):
    """With the conventions' names; a retry says how often the request was sent before."""
    async with Wire(answer(503), close, answer(204)) as wire:
        retry = RetryPolicy(base=0.0)
        async with agentry(wire.url, "token", observers=[observer], retry=retry) as client:
            with tracing.get_tracer("a program").start_as_current_span("its own work") as parent:
                await client.api_keys.delete("key_1")
        port = int(wire.url.rpartition(":")[2])
    *tries, _ = spans.get_finished_spans()
    common = {
        "http.request.method": "DELETE",
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.scheme": "http",
        "url.full": f"{wire_url(port)}/human/v0/api-keys/key_1",
        "url.template": ROUTE,
    }
    assert [dict(each.attributes) for each in tries] == [
        common | {"http.response.status_code": 503, "error.type": "503"},
        common | {"http.request.resend_count": 1, "error.type": "TransportError"},
        common | {"http.request.resend_count": 2, "http.response.status_code": 204},
    ]
    for each in tries:
        assert each.name == f"DELETE {ROUTE}"
        assert each.kind is SpanKind.CLIENT
        assert each.parent.span_id == parent.get_span_context().span_id
    codes = [each.status.status_code for each in tries]
    assert codes == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    [metric] = metrics(reader)
    assert (metric.name, metric.unit) == ("http.client.request.duration", "s")
    points = {point.attributes.get("error.type"): point for point in metric.data.data_points}
    assert set(points) == {"503", "TransportError", None}
    assert {point.count for point in points.values()} == {1}
    assert points[None].explicit_bounds[0] == 0.005


@pytest.mark.asyncio
async def test_a_span_that_is_cut_off_ends(observer, spans):
    """It says why, and nothing is kept of it."""
    async with Wire(hang) as wire:
        async with agentry(wire.url, "token", observers=[observer], timeout=0.2) as client:
            with pytest.raises(DeadlineExceededError):
                await client.api_keys.delete("key_1")
    [span] = spans.get_finished_spans()
    assert span.attributes["error.type"] == "CancelledError"
    assert observer._spans == {}


def wire_url(port):
    return f"http://127.0.0.1:{port}"


def metrics(reader):
    data = reader.get_metrics_data()
    return [
        metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
