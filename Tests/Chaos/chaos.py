#!/usr/bin/env python3
"""Breaks a cluster of real processes in every way it is meant to survive, and proves that it did.

    Tests/Chaos/run                          ten seeds, 30 s each
    Tests/Chaos/run --lanes 2                the same, two clusters at a time
    Tests/Chaos/run --seeds 7 --minutes 3    one seed, three minutes; the same seed does the same again

Workflows are triggered over HTTP, and counters and registers are called, while a seeded adversary kills, pauses,
stops, adds and cuts off nodes. Then everything is healed, and it is checked that

* every workflow that was accepted with 202 completed once, by the API and by an independent reader of the topics;
* every task had one effect;
* every counter equals the sum of the additions that were acknowledged (an unknown outcome counts either way), by the
  changelog; and what clients saw of counters and registers is linearisable;
* no partition was ever served by two silos that both committed, by the changelog and its claims;
* no node ended by itself.

Exit status: 0 all of that holds, 1 something does not (the folder with logs and data is kept and named).
"""

import argparse
import collections
import dataclasses
import json
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

import adversary
import isolation
import linearizability
import partitions
import stalls
import workflows
from cluster import Cluster, ClusterError

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# How long the load goes on after everything has been healed.
RECOVERY_SECONDS = 5


@dataclasses.dataclass
class Outcome:
    """What a run has shown."""

    seed: int
    folder: pathlib.Path
    violations: list = dataclasses.field(default_factory=list)
    numbers: dict = dataclasses.field(default_factory=dict)
    details: dict = dataclasses.field(default_factory=dict)
    left_out: dict = dataclasses.field(default_factory=dict)


def parse():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--seeds", default="1-10", help="7, 1,5,9 or 1-10 (default)")
    parser.add_argument("--minutes", type=float, default=0.5, help="how long each seed's adversary is at work")
    parser.add_argument("--lanes", type=int, default=1, help="how many seeds run at a time, each in a place of its own")
    parser.add_argument("--silos", type=int, default=3)
    parser.add_argument("--spares", type=int, default=2, help="silos that may be added")
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--rate", type=float, default=200, help="workflows offered a second")
    parser.add_argument("--calls", type=float, default=60, help="operations on counters and registers a second")
    parser.add_argument("--faults", help=f"only these, separated by commas, of: {', '.join(adversary.FAULTS)}")
    parser.add_argument("--binary", default=str(ROOT / ".build/release/chaos-orchestra"))
    parser.add_argument("--folder", help="where logs and data of failed runs are kept (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="keep logs and data of good runs too")
    parser.add_argument("--log-level", default="info")
    options = parser.parse_args()
    options.seeds = [int(n) for part in options.seeds.split(",") for n in expand(part)]
    options.faults = [f.strip() for f in options.faults.split(",")] if options.faults else None
    for fault in options.faults or []:
        if fault not in adversary.FAULTS:
            parser.error(f"no fault is named {fault!r}; there are: {', '.join(adversary.FAULTS)}")
    if not 1 <= options.lanes <= len(options.seeds):
        parser.error(f"--lanes {options.lanes}: use 1 to {len(options.seeds)}, the number of seeds")
    if not pathlib.Path(options.binary).exists():
        parser.error(f"{options.binary} is missing: run make chaos, which builds it")
    return options


def expand(part):
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def run_seed(seed, options, folder, isolated):
    outcome = Outcome(seed, folder)
    with Cluster(
        folder, options.binary, silos=options.silos, agents=options.agents, gateways=options.gateways,
        partitions=options.partitions, isolated=isolated, log_level=options.log_level, spares=options.spares,
    ) as cluster:  # fmt: skip
        try:
            _run(cluster, options, outcome)
        except Exception as error:  # anything that keeps the proof from being made is a failure of the run
            outcome.violations.append(f"the run broke off: {error!r}")
            (folder / "error.txt").write_text(traceback.format_exc())
        cluster.notice_ends()
        outcome.violations += cluster.unexpected_ends
        outcome.violations += crashes(cluster)
    (folder / "outcome.json").write_text(json.dumps(dataclasses.asdict(outcome), indent=1, default=str))
    return outcome


def _run(cluster, options, outcome):
    seconds = options.minutes * 60
    cluster.start()
    cluster.wait_agreement()
    size = (options.silos, options.spares, options.agents, options.gateways)
    plan = adversary.schedule(outcome.seed, seconds, *size, cluster.network.can_cut, options.faults)
    if not cluster.network.can_cut:
        outcome.left_out = dict(adversary.left_out(outcome.seed, seconds, *size, options.faults))
    say(f"seed {outcome.seed}: {len(plan)} faults in {seconds:.0f} s, logs in {outcome.folder}")
    opponent = adversary.Adversary(cluster, plan, outcome.folder / "adversary.log")
    history = outcome.folder / "history.jsonl"
    calls = start_calls(cluster, options, outcome.seed, seconds + RECOVERY_SECONDS, history)
    triggers = workflows.WorkflowLoad(
        cluster.gateway_urls[: options.gateways], options.rate, outcome.seed, outcome.folder / "accepted.jsonl"
    )
    stall = stalls.Stalls()
    triggers.start()
    opponent.start()
    watch(cluster, seconds)
    opponent.finish()
    outcome.violations += opponent.problems
    healed = time.monotonic()
    make_whole(cluster, options)
    time.sleep(max(0, healed + RECOVERY_SECONDS - time.monotonic()))
    triggers.finish()
    if calls.wait(timeout=120) != 0:
        outcome.violations.append(f"the load on grains ended with {calls.returncode}: see load.log")
    outcome.numbers["stall s"] = stall.take()
    stall.close()
    judge(cluster, options, outcome, triggers, history)
    outcome.numbers["faults"] = len(opponent.done)
    outcome.details["faults"] = dict(collections.Counter(action.fault for action in opponent.done))


def start_calls(cluster, options, seed, seconds, history):
    arguments = ["load", "--silos", cluster.silo_addresses, "--history", str(history)]
    arguments += ["--seconds", str(seconds), "--rate", str(options.calls), "--seed", str(seed)]
    with open(cluster.folder / "load.log", "ab") as log:
        return cluster.run_client(arguments, stdout=log, stderr=log)


def watch(cluster, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        cluster.notice_ends()
        time.sleep(0.2)


def make_whole(cluster, options):
    """Starts what does not run, and waits until all nodes serve and know each other."""
    names = [f"{role}-{n}" for role, count in cluster.counts.items() for n in range(1, count + 1)]
    cluster.notice_ends()
    for name in ["broker", *names]:
        cluster.restart(name)
    cluster.wait_ready(["broker", *names], limit=90)
    cluster.wait_agreement(limit=90)


class Stopwatch:
    """How long the parts of something take."""

    def __init__(self):
        self.begin, self.laps = time.monotonic(), {}

    def lap(self, name):
        now = time.monotonic()
        self.laps[name], self.begin = round(now - self.begin, 1), now


def judge(cluster, options, outcome, triggers, history):
    watch = Stopwatch()
    outcome.violations += triggers.violations
    urls = cluster.gateway_urls[: options.gateways]
    outcome.violations += workflows.check_all_completed(urls, triggers.accepted, patience=90)
    watch.lap("workflows")
    outcome.numbers |= {
        "offered": triggers.counts["offered"],
        "accepted": len(triggers.accepted),
        "never accepted": triggers.counts["never accepted"],
    }
    outcome.details["triggers"] = dict(triggers.counts)
    outcome.details["longest time without an accepted trigger"] = longest_gap(triggers.accept_times)
    readback = cluster.run_client(
        ["readback", "--silos", cluster.silo_addresses, "--history", str(history)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    text, _ = readback.communicate(timeout=300)
    if readback.returncode != 0:
        outcome.violations.append(f"reading the grains back failed: {text.strip()[-500:]}")
    watch.lap("readback")
    judge_history(history, outcome)
    watch.lap("history")
    judge_ledger(cluster, outcome, triggers)
    watch.lap("ledger")
    judge_partitions(cluster, options, outcome, history)
    watch.lap("partitions")
    outcome.details["seconds to judge"] = watch.laps


def longest_gap(times):
    times = sorted(times)
    return round(max((b - a for a, b in zip(times, times[1:], strict=False)), default=0), 2)


def judge_history(history, outcome):
    verdicts = linearizability.check_files([history])
    for verdict in verdicts:
        if verdict.is_linearizable is not True:
            outcome.violations.append(f"{verdict.key} is not linearisable: {verdict.explanation}")
    outcome.numbers["calls"] = sum(verdict.operations for verdict in verdicts)
    outcome.numbers["unknown"] = sum(verdict.unknown for verdict in verdicts)
    errors, latencies = collections.Counter(), []
    begun = {}
    for line in open(history, encoding="utf-8"):
        event = json.loads(line)
        if event["event"] == "invoke":
            begun[event["operation"]] = event["time"]
        elif event["event"] == "ok":
            latencies.append((event["time"] - begun[event["operation"]]) / 1e6)
        else:
            errors[f"{event['event']}: {event['error'].split(':')[0]}"] += 1
    outcome.details["calls"] = dict(errors)
    if latencies:
        latencies.sort()
        quantiles = {q: round(latencies[int(len(latencies) * q)], 1) for q in (0.5, 0.9, 0.99)}
        outcome.details["milliseconds of calls"] = quantiles | {"max": round(latencies[-1], 1)}


def judge_ledger(cluster, outcome, triggers):
    """The independent reader of Tests/ClusterTests."""
    ids = cluster.folder / "accepted.txt"
    ids.write_text("".join(f"{workflow_id}\n" for workflow_id in triggers.accepted.values()))
    ledger = ROOT / "Tests/ClusterTests/ledger.py"
    command = [sys.executable, str(ledger), "--kafka", cluster.kafka, "--registry", cluster.registry]
    done = subprocess.run([*command, "--workflows", str(ids)], capture_output=True, text=True, timeout=900)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        outcome.violations.append(f"the ledger could not be read: {done.stderr[-1000:]}")
        return
    found = json.loads(done.stdout)
    (cluster.folder / "ledger.json").write_text(json.dumps(found, indent=1))
    if found["violationCount"]:
        outcome.violations.append(f"the ledger has {found['violationCount']} violations: {found['violations'][:20]}")
    if found["deadLetters"]:
        letters = found["deadLetters"]
        outcome.violations.append(f"{len(letters)} dead letters: {letters[:5]}")
    # Triggers whose outcome stayed unknown may exist too. Then they completed like the others.
    unfinished = {status: n for status, n in found["statuses"].items() if status != "completed"}
    if unfinished or found["statuses"].get("completed", 0) != found["workflowsStarted"]:
        outcome.violations.append(f"{found['workflowsStarted']} workflows started, their ends: {found['statuses']}")
    allowed = len(triggers.accepted) + len(triggers.unknown)
    if found["workflowsStarted"] > allowed:
        outcome.violations.append(f"{found['workflowsStarted']} workflows started, at most {allowed} were triggered")


def judge_partitions(cluster, options, outcome, history):
    reports = partitions.judge(cluster.kafka, cluster.registry, options.partitions)
    for report in reports:
        outcome.violations += report.violations[:20]
    outcome.numbers["commits"] = sum(report.commits for report in reports)
    outcome.numbers["owners"] = sum(len(report.owners) for report in reports)
    outcome.details["owners"] = {report.partition: report.owners for report in reports}
    states = partitions.grain_states(reports, cluster.registry, {"counter"})
    outcome.violations += judge_counters(linearizability.read([history]), states)


def judge_counters(operations, states):
    """A counter is at least the sum of what was acknowledged, and at most that and all that is unknown."""
    for key, history in sorted(operations.items()):
        if not key.startswith("counter/"):
            continue
        adds = [operation for operation in history if operation.function == "add"]
        least = sum(operation.arguments[0] for operation in adds if operation.is_known)
        most = sum(operation.arguments[0] for operation in adds)
        count = states.get(key, {"count": 0})["count"]
        if not least <= count <= most:
            yield f"{key} is {count} in the changelog; {least} was acknowledged, {most - least} is unknown"


def crashes(cluster):
    """Lines of logs that a sound node never writes."""
    signs = ("Fatal error: ", "Swift runtime failure", "AddressSanitizer", "internalError")
    for path in sorted((cluster.folder / "logs").glob("*.log")):
        with open(path, encoding="utf-8", errors="replace") as lines:
            found = [
                line.strip()[:300] for line in lines if any(sign in line for sign in signs) and "librdkafka" not in line
            ]
        if found:
            yield f"{path.name} has {len(found)} lines such as: {found[0]}"


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


COLUMNS = [
    "seed", "faults", "offered", "accepted", "never accepted", "calls", "unknown", "commits", "owners", "stall s",
]  # fmt: skip


def print_table(outcomes):
    print("\n| " + " | ".join([*COLUMNS, "longest gap s", "violations"]) + " |")
    print("|" + " --- |" * (len(COLUMNS) + 2))
    for outcome in outcomes:
        cells = [outcome.seed, *(outcome.numbers.get(column, "") for column in COLUMNS[1:])]
        cells += [outcome.details.get("longest time without an accepted trigger", ""), len(outcome.violations)]
        print("| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in cells) + " |")
    gaps = [o.details.get("longest time without an accepted trigger", 0) for o in outcomes]
    if len(gaps) > 1:
        print(f"\nmedian of the longest gaps {statistics.median(gaps):.1f} s")


def print_left_out(outcomes):
    """What a machine without network namespaces did not try."""
    counts = sum((collections.Counter(outcome.left_out) for outcome in outcomes), collections.Counter())
    each = ", ".join(f"{count} × {fault}" for fault, count in sorted(counts.items())) or "none in these seeds"
    print(f"left out, because there are no network namespaces here: {counts.total()} cuts and splits ({each})")


def run_lanes(options):
    """Shares the seeds among processes, which enter namespaces of their own. The last option of a name counts."""
    lanes = []
    for lane in range(options.lanes):
        seeds = ",".join(str(seed) for seed in options.seeds[lane :: options.lanes])
        lanes.append(subprocess.Popen([sys.executable, *sys.argv, "--seeds", seeds, "--lanes", "1"]))
    try:
        return int(any([lane.wait() for lane in lanes]))
    finally:
        for lane in lanes:
            lane.terminate()


def main():
    # The first process of a process namespace ignores what it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse()
    if options.lanes > 1:
        return run_lanes(options)
    isolated = isolation.enter()
    base = pathlib.Path(options.folder or tempfile.mkdtemp(prefix="orchestra-chaos-")).resolve()
    outcomes = []
    for seed in options.seeds:
        folder = base / f"seed-{seed}"
        if folder.exists():
            shutil.rmtree(folder)
        outcome = run_seed(seed, options, folder, isolated)
        outcomes.append(outcome)
        for violation in outcome.violations[:30]:
            say(f"seed {seed} VIOLATION: {violation}")
        say(f"seed {seed}: {len(outcome.violations)} violations, {outcome.numbers} {outcome.details.get('faults')}")
        if outcome.violations:
            say(f"seed {seed}: logs, histories and data are in {folder}")
        elif not options.keep:
            shutil.rmtree(folder)
    print_table(outcomes)
    if not isolated:
        print_left_out(outcomes)
    bad = [outcome for outcome in outcomes if outcome.violations]
    for outcome in bad:
        print(f"replay: Tests/Chaos/run --seeds {outcome.seed} --minutes {options.minutes} --silos {options.silos}")
    print(f"chaos: {len(outcomes) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ClusterError as error:
        sys.exit(f"chaos: {error}")
