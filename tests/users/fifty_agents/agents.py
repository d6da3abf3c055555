"""Fifty agents behind FastAPI, each with an inbox and a key of its own."""

import asyncio
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request

from agentkeys import AgentryClient, NotFoundError, issue, rotate, status, sweep

AGENTS = [f"agent-{number:02}" for number in range(50)]
SECRETS = "agents.env"
AT_ONCE = 8


def inbox_of(agent):
    return f"{agent}@acme.to"


def store_of(agent):
    return f"dotenv:{SECRETS}#{agent.upper().replace('-', '_')}_KEY"


async def hire(agentry, agents=AGENTS):
    """Give each agent that has no key one of its own; what a crash left is finished first."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def hire_one(agent):
        keys = agentry.inbox(inbox_of(agent)).api_keys
        async with turns:
            await sweep(keys)
            if not (await status(keys)).kept:
                await issue(keys, agent, into=store_of(agent))

    async with asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(hire_one(agent))


@asynccontextmanager
async def lifespan(app):
    async with AgentryClient(user_agent="fifty-agents/1.0") as app.state.agentry:
        await hire(app.state.agentry)
        yield


app = FastAPI(lifespan=lifespan)


def keys_of(request: Request, agent: str):
    if agent not in AGENTS:
        raise HTTPException(404, "there is no such agent")
    return request.app.state.agentry.inbox(inbox_of(agent)).api_keys


@app.get("/agents/{agent}/keys")
async def list_keys(agent: str, request: Request):
    return await keys_of(request, agent).list().collect()


@app.post("/agents/{agent}/keys/rotation")
async def rotate_key(agent: str, request: Request):
    rotated = await rotate(keys_of(request, agent), agent, into=store_of(agent), grace=0)
    return rotated.key


@app.delete("/agents/{agent}/keys/{key_id}", status_code=204)
async def delete_key(agent: str, key_id: str, request: Request):
    try:
        await keys_of(request, agent).delete(key_id)
    except NotFoundError:
        raise HTTPException(404, "there is no such key") from None
