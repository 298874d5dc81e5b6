#!/usr/bin/env python3
"""Shows that the checks can fail: breaks one behaviour after the other on the wire, and sees the checks notice.

    prove.py [--broker COMMAND] [--only WORD]

Between the clients and the broker stands a proxy that makes one mutation of mutations.py. Every check that the
mutation names must fail through it (and pass without). Prints one line per mutation; exits with 1 if one went
unnoticed, or if there is a check that no mutation is for.
"""

import argparse
import contextlib
import io
import sys

from broker_process import DEFAULT_COMMAND, BrokerProcess
from mutations import MUTATIONS, ONLY_IN_THE_BROKER
from proxy import Proxy
from run import load_checks
from support import Context


def unnoticed(broker, mutation, checks):
    """The names of the checks that should have failed through this proxy, and did not."""
    proxy = Proxy(broker.port, mutation.change)
    context = Context(broker, through=proxy.bootstrap)
    try:
        passed = []
        for word in mutation.checks:
            found = [check for check in checks if word in check.title]
            assert found, f"no check is named like {word!r}"
            for check in found:
                with contextlib.redirect_stdout(io.StringIO()):
                    if check.failure(context) is None:
                        passed.append(check.title)
        return passed
    finally:
        proxy.close()


def unnamed(checks):
    """The names of the checks that no mutation is for."""
    words = [word for mutation in MUTATIONS for word in mutation.checks]
    titles = {check.title for check in checks if not any(word in check.title for word in words)}
    return sorted(titles - ONLY_IN_THE_BROKER)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default=DEFAULT_COMMAND, help="command with {data} and {port}")
    parser.add_argument("--only", default="", help="only mutations whose name contains this")
    options = parser.parse_args()
    checks, failed, tried = load_checks(), 0, 0
    unproven = unnamed(checks)
    for title in unproven:
        print(f"FAIL  no mutation is for: {title}", flush=True)
    with BrokerProcess(options.broker) as broker:
        honest = unnoticed(broker, Honest, checks)
        assert len(honest) == 1, "the proxy itself breaks a check"
        for mutation in MUTATIONS:
            if options.only not in mutation.title:
                continue
            tried += 1
            passed = unnoticed(broker, mutation, checks)
            failed += bool(passed)
            said = f"UNNOTICED by {', '.join(passed)}" if passed else "noticed"
            print(f"{'FAIL' if passed else 'ok  '}  {mutation.title}: {said}", flush=True)
    print(f"{tried - failed} of {tried} mutations were noticed")
    return 1 if failed or unproven or not tried else 0


class Honest:
    checks = ("committed data is seen",)

    @staticmethod
    def change(frame):
        """Nothing."""


if __name__ == "__main__":
    sys.exit(main())
