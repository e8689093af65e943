"""A coroutine run to its end from ordinary code, also where an event loop runs already, as in a notebook."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar


T = TypeVar("T")


def run_anywhere(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """
    Run a coroutine and return its result.

    Args:
        make (`Callable`):
            Makes the coroutine, in the thread that runs it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    return _run_in_thread(make)


def _run_in_thread(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    result: Future[T] = Future()
    loop = asyncio.new_event_loop()
    task = loop.create_task(make())

    def work() -> None:
        try:
            result.set_result(loop.run_until_complete(task))
        except BaseException as error:  # noqa: BLE001  (carried over to the thread that waits)
            result.set_exception(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    thread = threading.Thread(target=work, name="server-engine", daemon=True)
    thread.start()
    try:
        return result.result()
    except BaseException:
        if not result.done():  # interrupted here: let the requests in flight end too
            loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        thread.join()
