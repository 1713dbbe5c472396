"""Password hashes: Argon2id, in threads, so that the event loop goes on."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from passlib.hash import argon2

# OWASP's password storage cheat sheet: 19 MiB, two passes, one lane; about 30 ms here.
_argon2id = argon2.using(type="ID", memory_cost=19_456, time_cost=2, parallelism=1)
# Two at a time: hashing is memory and CPU, and whoever floods the log-in should not get more of either.
_threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")

_nobody = ""


async def hash_password(password: str) -> str:
    return str(await _run(_argon2id.hash, password))


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether they belong together; as slow for an account that is not there (None) as for one that is (promise A7)."""
    global _nobody
    if password_hash is None:
        _nobody = _nobody or await hash_password("nobody's password")
        await _run(_argon2id.verify, password, _nobody)
        return False
    return bool(await _run(_argon2id.verify, password, password_hash))


def needs_rehash(password_hash: str) -> bool:
    """Whether it was made with other parameters than today's (promise A8)."""
    return bool(_argon2id.needs_update(password_hash))


async def _run(function: object, *arguments: str) -> object:
    assert callable(function)
    return await asyncio.get_running_loop().run_in_executor(_threads, function, *arguments)
