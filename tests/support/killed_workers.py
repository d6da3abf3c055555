"""A program that is many workers in turn, each of which is killed at a point of its own.

What others can see of a worker is what it does to the disk, to a socket, and to the database. A
worker counts these calls, which the interpreter reports whatever our functions are named, and kills
itself at the n-th. Counted from where it takes its first job: what is before that changes nothing.
"""

from __future__ import annotations

__all__ = ["PROGRAM"]

# It forks for each worker, before it has a thread or a loop, so that it need not import all anew.
PROGRAM = """
    import itertools, os, signal, socket, sys, threading
    import psycopg, sqlalchemy.dialects.postgresql.psycopg
    from agentkeys import agentry
    from agentkeys.cli import commands
    from agentkeys.cli.fleet import distributing
    from agentkeys.fleet import engine
    from agentkeys.lifecycle.journal import postgres
    from agentkeys.stores.files import store
    from agentkeys.transport import session

    changes = {
        "posix": {"write", "ftruncate", "mkdir", "rename", "replace", "rmdir", "unlink"},
        "fcntl": {"flock"},
    }

    def is_request(event, called):
        sent = {"c_call": {"send", "recv"}, "c_return": {"send"}}[event]
        return called.__name__ in sent and called.__self__.family == socket.AF_INET

    def is_change(event, called):
        return event == "c_call" and called.__name__ in changes.get(called.__module__, ())

    def asks_a_database(code):
        # Before, and after, each answer of the journal and of the queue, which libpq talks to.
        return code.co_name == "wait" and (
            "postgres" in code.co_filename or "psycopg/connection_async" in code.co_filename
        )

    def work(point, words):
        points = itertools.count()
        has_begun = False

        def watch(frame, event, called):
            nonlocal has_begun
            if event in {"c_call", "c_return"}:
                if isinstance(called.__self__, socket.socket):
                    is_one = is_request(event, called)
                else:
                    is_one = is_change(event, called)
            else:
                is_one = asks_a_database(frame.f_code)
                has_begun = has_begun or frame.f_code.co_name == "fetch_job"
            if is_one and has_begun and next(points) == point:
                os.kill(os.getpid(), signal.SIGKILL)

        threading.setprofile(watch)
        sys.setprofile(watch)
        try:
            commands.main(words)
        except SystemExit:
            pass
        sys.setprofile(None)
        return next(points)

    for line in sys.stdin:
        point, *words = line.split()
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, str(work(int(point), words)).encode())
            os._exit(0)
        os.close(writing)
        with open(reading) as pipe:
            print(pipe.read() or "killed")
        os.waitpid(child, 0)
"""
