"""Where parts run: a `concurrent.futures.Executor`, a few parts at a time.

The loop's own work shares its process's memory, so it hands in threads; a picklable `work` runs on processes as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

from halocline.connector import Manifest, Part

WIDTH = 4  # parts in flight; result pages wait on the network more than on a core, and an org serves only so many at once


@contextmanager
def threads(width: int = WIDTH) -> Iterator[Executor]:
    """The default executor: `width` threads, gone when the block ends; parts not yet begun are dropped on failure."""
    executor = ThreadPoolExecutor(max_workers=width, thread_name_prefix="halocline")
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def each(
    executor: Executor, parts: Iterable[Part], *, work: Callable[[Part], Manifest], width: int = WIDTH
) -> Iterator[Manifest]:
    """The manifests of `work(part)` as they complete, with at most `width` parts begun and not handed out.

    `parts` is drawn lazily: it may wait for pages of a job that is still running. The first failure is raised at once;
    parts in flight are left to end by themselves.
    """
    pending: set[Future[Manifest]] = set()
    for part in parts:
        pending.add(executor.submit(work, part))
        if len(pending) >= width:
            yield from _completed(pending)
    while pending:
        yield from _completed(pending)


def _completed(pending: set[Future[Manifest]]) -> Iterator[Manifest]:
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        pending.discard(future)
        yield future.result()
