"""Uses the tools of a server with the Python SDK; prints one JSON document a way.

Takes one argument, JSON: `url`, `authorization` and `command` of the server.
"""

import asyncio
import json
import sys

import httpx2 as httpx
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

TARGET = json.loads(sys.argv[1])


def server(transport):
    if transport == "stdio":
        program, *arguments = TARGET["command"]
        return StdioServerParameters(command=program, args=arguments)
    headers = {"Authorization": TARGET["authorization"]}
    client = httpx.AsyncClient(headers=headers, timeout=60)
    return streamable_http_client(TARGET["url"], http_client=client)


async def use(transport, mode):
    async with Client(server(transport), mode=mode) as client:
        listed = await client.list_tools()
        task = {"name": "scripted", "run": "echo scripted"}
        submitted = await client.call_tool("skep_tasks_submit", task)
        task_id = submitted.structured_content["id"]
        waited = await client.call_tool("skep_wait", {"id": task_id})
        unknown = {"id": "task_00000000000000000000000000"}
        unknown = {"operation": "tasks.get", "arguments": unknown}
        refused = await client.call_tool("skep_call", unknown)
        document = {
            "transport": transport,
            "revision": client.protocol_version,
            "tools": [{"name": tool.name} for tool in listed.tools],
            "task": task_id,
            "state": waited.structured_content["state"],
            "refused": refused.is_error and refused.structured_content["code"],
        }
    print(json.dumps(document), flush=True)


async def main():
    for transport in ["http", "stdio"]:
        for mode in ["auto", "legacy"]:
            await use(transport, mode)


asyncio.run(main())
