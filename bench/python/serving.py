"""What the servers of the comparison share: the ledger of effects, and how they say that they listen."""

import asyncio
import socket
import threading
import time


async def charge(ledger: str, step: int, delay_ms: float) -> None:
    """An effect in the world: one line, with half of its time before it and half behind."""
    await asyncio.sleep(delay_ms / 2000)
    with open(ledger, "a") as file:
        file.write(f"charge-{step}\n")
    await asyncio.sleep(delay_ms / 2000)


def tell_when_it_listens(port: int) -> None:
    threading.Thread(target=_tell, args=[port], daemon=True).start()


def _tell(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    print(f"listening on http://127.0.0.1:{port}", flush=True)
