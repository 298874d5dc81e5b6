"""Checks a Kafka broker against what Orchestra relies on, with real clients and a raw one.

    run [--broker COMMAND] [--only WORD] [--list]     starts the broker itself, and also kills and restarts it
    run --bootstrap HOST:PORT [--only WORD]           a running broker, Apache Kafka too; nothing is killed

COMMAND holds {data} (a folder) and {port}; by default it is the release build of this package. Prints one line per
check; exits with 1 if any failed. Without --only and --bootstrap also runs groups.py and hostile.py.
"""

import argparse
import concurrent.futures
import importlib
import pathlib
import subprocess
import sys
import time

import support
from broker_process import DEFAULT_COMMAND, BrokerProcess

HERE = pathlib.Path(__file__).parent
AT_A_TIME = 6


def load_checks():
    for path in sorted((HERE / "checks").glob("*.py")):
        importlib.import_module(f"checks.{path.stem}")
    return support.CHECKS


def report(check, context):
    began = time.monotonic()
    failure = check.failure(context)
    took = time.monotonic() - began
    print(f"FAIL  {check.title}: {failure}" if failure else f"ok    {check.title} ({took:.1f} s)", flush=True)
    return failure is None


def run_checks(checks, context):
    """Those that kill the broker run one after the other, when all others are done."""
    together = [check for check in checks if not check.kills]
    # The slow ones first: they only wait.
    together.sort(key=lambda check: check.function.__module__ != "checks.storage")
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        passed = sum(pool.map(lambda check: report(check, context), together))
    if context.process:
        passed += sum(report(check, context) for check in checks if check.kills)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", help="host:port of a running broker")
    parser.add_argument("--broker", default=DEFAULT_COMMAND, help="command with {data} and {port}")
    parser.add_argument("--only", default="", help="only checks whose name contains this")
    parser.add_argument("--list", action="store_true", help="print the names of the checks")
    options = parser.parse_args()
    checks = [check for check in load_checks() if options.only in check.title]
    if options.list:
        print("\n".join(check.title for check in checks))
        return 0
    failed = 0
    others = []
    if not options.only and not options.bootstrap:
        others = [
            subprocess.Popen([sys.executable, str(HERE / name), "--broker", options.broker])
            for name in ("groups.py", "hostile.py")
        ]
    if options.bootstrap:
        checks = [check for check in checks if not check.kills]
        passed = run_checks(checks, support.Context(options.bootstrap))
    else:
        with BrokerProcess(options.broker) as broker:
            passed = run_checks(checks, support.Context(broker))
    for other in others:
        failed += other.wait() != 0
    print(f"{passed} of {len(checks)} checks passed")
    return 1 if failed or passed < len(checks) or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
