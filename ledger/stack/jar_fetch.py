"""Fetches Kafka's jars into the cache: `python -m ledger.stack.jar_fetch CACHE`. The last line it prints says what went wrong.

The resolver (jgo) is not safe against kills and damage: half a folder is taken as finished, a jar cut short as whole, two
at once break each other. So one at a time, and its word is not believed: what it returns is judged by our list.
"""

import fcntl
import importlib
import shutil
import sys
from pathlib import Path

from ledger.stack.failure import StackFailed
from ledger.stack.jars import ENDPOINT, OFFLINE, find, is_whole, wanted
from ledger.stack.layout import check_space

SPACE_FOR_JARS = 150 * 1024 * 1024


def fetch(cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another stack may be fetching: then its jars serve us too
        if find(cache):
            return
        check_space(cache, SPACE_FOR_JARS)
        try:
            environment = _resolve(cache)
        except OSError:
            raise
        except Exception as damage:  # the resolver breaks in many ways on a damaged cache; the second run is believed
            sys.stderr.write(f"the cache is damaged ({type(damage).__name__}: {damage}); fetching again\n")
            shutil.rmtree(cache / "jgo", ignore_errors=True)
        else:
            if is_whole(environment, wanted()):
                return
            sys.stderr.write(f"{environment} is not whole; fetching again\n")
            shutil.rmtree(environment)
        shutil.rmtree(cache / "m2", ignore_errors=True)
        _resolve(cache)


def _resolve(cache: Path) -> Path:
    """The layered form: `jgo.build()` would write to the user's own Maven folder and read the user's settings."""
    central = importlib.import_module("jgo.constants").MAVEN_CENTRAL_URL
    context = importlib.import_module("jgo.maven").MavenContext(repo_cache=cache / "m2", remote_repos={"central": central})
    builder = importlib.import_module("jgo.env").EnvironmentBuilder(context=context, cache_dir=cache / "jgo")
    return Path(builder.from_endpoint(ENDPOINT).path)


def main(cache: Path) -> int:
    try:
        fetch(cache)
    except ImportError:
        return _say("Kafka's resolver is not installed: pip install 'jobledger[dev]'.", 1)
    except StackFailed as failure:
        return _say(str(failure), 1)
    except OSError as error:
        if type(error).__module__.startswith("requests"):
            reason = " ".join(str(error).split())[:300]
            return _say(
                f"Kafka's jars are not in the cache {cache} and could not be fetched: {reason}. "
                "Go online once, or name a filled cache with JOBLEDGER_CACHE.",
                OFFLINE,
            )
        return _say(
            f"Kafka's jars are not in the cache {cache} and cannot be written there: {error.strerror or error}. "
            "Name a folder that can be written with JOBLEDGER_CACHE.",
            1,
        )
    return 0


def _say(text: str, exit_code: int) -> int:
    sys.stderr.write(text + "\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
