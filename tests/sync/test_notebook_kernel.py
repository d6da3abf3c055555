"""A real notebook kernel, in which an event loop runs all the time."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import time

import pytest
from samples import KEY, NEW_KEY
from wire import Seen, answer, hang

from agentkeys.cancellation import GRACE

pytestmark = pytest.mark.slow

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

PATIENCE = 30.0


class Kernel:
    """A kernel of this very Python, and what its cells print."""

    def __init__(self) -> None:
        from jupyter_client.kernelspec import KernelSpec

        self._manager = jupyter_client.KernelManager()
        # Not the one that whoever runs the tests has installed.
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self._manager._kernel_spec = KernelSpec(argv=command, language="python")
        self._manager.start_kernel(env=dict(os.environ))
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)
        self._cell = ""
        self._subscribe()

    def start(self, code: str) -> None:
        """Start a cell."""
        self._cell = self._client.execute(code)

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def end(self, *, timeout: float = PATIENCE) -> tuple[str, str]:
        """Wait for the cell's end; return what it printed and displayed, and its error's name."""
        shown, error = [], ""
        while True:
            message = self._of_this_cell(self._client.get_iopub_msg, timeout)
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    shown.append(content["text"])
                case "execute_result" | "display_data":
                    shown.append(content["data"].get("text/html", content["data"]["text/plain"]))
                case "error":
                    error = content["ename"]
                case "status" if content["execution_state"] == "idle":
                    self._of_this_cell(self._client.get_shell_msg, timeout)
                    return "".join(shown), error

    def _of_this_cell(self, get, timeout):
        # What earlier requests made may come late.
        while True:
            message = get(timeout=timeout)
            if message["parent_header"].get("msg_id") == self._cell:
                return message

    def _subscribe(self) -> None:
        # What a kernel prints before the subscription to it has arrived is lost.
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:
            with contextlib.suppress(queue.Empty):
                self.start("")
                self.end(timeout=1)
                return
        pytest.fail("nothing came from the kernel")

    def run(self, code: str) -> tuple[str, str]:
        self.start(code)
        return self.end()

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    kernel = Kernel()
    yield kernel
    kernel.close()


def reply(seen: Seen):
    if seen.method == "GET":
        return answer(200, {"apiKeys": [KEY]})
    return hang if seen.json["nickname"] == "slow" else answer(201, NEW_KEY)


# What they do themselves with sockets and loops is not ours to judge.
@pytest.mark.filterwarnings("default")
def test_clients_work_in_a_notebook(kernel, wire, background):
    """Call, iterate, interrupt, call again, the async client in a cell, help, and tables."""
    server = wire(reply)
    assert kernel.run(
        "from agentkeys import sync, AgentityClient\n"
        f"client = sync.AgentityClient('token', base_url={server.url!r})\n"
        "client.api_keys.create('one').id"
    ) == ("42", "")
    assert kernel.run("print([key.nickname for key in client.api_keys.list()])") == (
        "['production-agent']\n",
        "",
    )

    server.arrived.clear()
    kernel.start("client.api_keys.create('slow')")
    background.wait(server.arrived)
    begun = time.monotonic()
    kernel.interrupt()
    warning, interruption = kernel.end()
    assert interruption == "KeyboardInterrupt"
    assert "'slow' was cancelled" in warning
    assert time.monotonic() - begun < 2 * GRACE
    background.wait(server.disconnected)

    assert kernel.run("client.api_keys.create('again').nickname") == ("'production-agent'", "")
    assert kernel.run(
        f"async with AgentityClient('token', base_url={server.url!r}) as twin:\n"
        "    print((await twin.api_keys.create('x')).id)\n"
        "    print([key.id async for key in twin.api_keys.list()])"
    ) == ("42\n[42]\n", "")
    text, error = kernel.run("help(client.api_keys.create)")
    assert error == ""
    signature = "".join(text.split())  # a newer Python writes a line for each argument
    assert "create(nickname:'str|None'=None,*,name:'str|None'=None," in signature

    for shown in (
        "client.api_keys.create('x')",
        "client.api_keys.list().first()",
    ):
        table, error = kernel.run(shown)
        assert error == ""
        assert "<table>" in table
        assert NEW_KEY["key"] not in table
    sent = len(server.requests)
    shown, _ = kernel.run("client.api_keys.list()")
    assert "<code>listing.collect()</code>" in shown
    assert len(server.requests) == sent
    assert kernel.run("client.close()") == ("", "")
