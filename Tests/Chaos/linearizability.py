"""Checks histories of registers and counters for linearisability.

A history is what clients saw: when each operation was invoked, when it returned, with what. It is linearisable if each
operation can be given one moment between its invocation and its return at which it took effect, such that the
effects in that order explain all replies.

The method is just-in-time linearisation (Lowe, "Testing for linearizability", 2017), which goes back to Wing and Gong
(1993): go through the events in the order of time and keep every configuration that explains them so far: a value of
the object and the set of operations under way that have already taken effect. When an operation returns, it must have
taken effect: each configuration in which it has not is extended by those operations under way that can come before it.
Equal configurations are one (memoisation). If none is left, there is no explanation.

An operation with an unknown outcome stays under way for ever: it may take effect at any later time, or never.
Histories are checked key by key, since linearisability is local (Herlihy and Wing, 1990).
"""

import dataclasses
import json
import math

INITIAL = 0


@dataclasses.dataclass
class Operation:
    """One operation. `value` is the reply; `returned` is infinite while the outcome is unknown."""

    identifier: str
    function: str
    arguments: tuple
    invoked: float
    returned: float = math.inf
    value: int | None = None

    @property
    def is_known(self):
        return self.returned != math.inf

    def __str__(self):
        reply = self.value if self.is_known else "unknown"
        arguments = ", ".join(map(str, self.arguments))
        end = f"{self.returned:.6f}" if self.is_known else "…"
        return f"{self.function}({arguments}) → {reply} [{self.invoked:.6f}, {end}] {self.identifier}"


class Counter:
    """add(amount) → the new sum; read() → the sum. Amounts are positive."""

    @staticmethod
    def step(state, operation):
        """The value after the operation, or None if its reply contradicts this value."""
        after = state + operation.arguments[0] if operation.function == "add" else state
        return after if not operation.is_known or operation.value == after else None

    @staticmethod
    def can_reach(state, operation):
        """Whether operations put before this one can make its reply right: a sum only grows."""
        amount = operation.arguments[0] if operation.function == "add" else 0
        return state + amount <= operation.value

    @staticmethod
    def prepare(operations):
        return [o for o in operations if o.is_known or o.function == "add"]


class Register:
    """write(value) → value; cas(expected, new) → the value afterwards; read() → the value."""

    @staticmethod
    def step(state, operation):
        if operation.function == "write":
            after = operation.arguments[0]
        elif operation.function == "cas":
            expected, new = operation.arguments
            after = new if state == expected else state
        else:
            after = state
        return after if not operation.is_known or operation.value == after else None

    @staticmethod
    def can_reach(_state, _operation):
        return True

    @staticmethod
    def prepare(operations):
        """Leaves out operations with an unknown outcome whose value nobody ever saw.

        They may just as well never have taken effect: between such a write and the next there was no operation that
        shows the value, because every one that does not overwrite it replies with it, and an exchange that succeeds
        shows what it expected. One of unknown outcome succeeded if what it wrote was seen.
        """
        known = [o for o in operations if o.is_known]
        unknown = [o for o in operations if not o.is_known and o.function != "read"]
        seen = {o.value for o in known}
        seen |= {o.arguments[0] for o in known if o.function == "cas" and o.value == o.arguments[1]}
        kept = []
        while True:
            found = [o for o in unknown if o.arguments[-1] in seen]
            if not found:
                return known + kept
            kept += found
            unknown = [o for o in unknown if o.arguments[-1] not in seen]
            seen |= {o.arguments[0] for o in found if o.function == "cas"}


MODELS = {"counter": Counter, "register": Register}


@dataclasses.dataclass
class Verdict:
    """Whether a history is linearisable (None: too many configurations to say); if not, where it stops to be."""

    key: str
    is_linearizable: bool | None
    operations: int
    unknown: int
    explanation: str = ""


def check(key, operations, model, limit=200_000):
    """The verdict on the operations of one key."""
    considered = model.prepare(operations)
    unknown = sum(not o.is_known for o in operations)
    events = []
    for index, operation in enumerate(considered):
        # An invocation at the moment of a return comes first: the two overlap, for the benefit of the doubt.
        events.append((operation.invoked, 0, index))
        if operation.is_known:
            events.append((operation.returned, 1, index))
    events.sort()
    under_way = set()
    configurations = {(INITIAL, frozenset())}
    for position, (_, is_return, index) in enumerate(events):
        if not is_return:
            under_way.add(index)
            continue
        after = _linearize(configurations, under_way, index, considered, model, limit)
        if after is None:
            return Verdict(key, None, len(operations), unknown, f"more than {limit} configurations")
        if not after:
            text = _explain(configurations, under_way, index, considered, events, position)
            return Verdict(key, False, len(operations), unknown, text)
        under_way.discard(index)
        # It has taken effect in all of them: no need to remember that.
        configurations = {(state, done - {index}) for state, done in after}
    return Verdict(key, True, len(operations), unknown)


def _linearize(configurations, under_way, index, operations, model, limit):
    """All configurations in which the operation has taken effect; None if they are too many."""
    result = set()
    visited = set(configurations)
    work = list(configurations)
    target = operations[index]
    while work:
        state, done = work.pop()
        if index in done:
            result.add((state, done))
            continue
        after = model.step(state, target)
        if after is not None:
            result.add((after, done | {index}))
        for other in under_way:
            if other == index or other in done:
                continue
            after = model.step(state, operations[other])
            if after is None or not model.can_reach(after, target):
                continue
            configuration = (after, done | {other})
            if configuration not in visited:
                visited.add(configuration)
                work.append(configuration)
        if len(visited) > limit:
            return None
    return result


def _explain(configurations, under_way, index, operations, events, position):
    """The operation that has no explanation, with what was before and beside it."""
    states = sorted({state for state, _ in configurations})
    lines = [f"no explanation for {operations[index]}", f"  values possible before: {states[:20]}", "  under way:"]
    lines += [f"    {operations[other]}" for other in sorted(under_way) if other != index]
    before = [i for _, is_return, i in events[:position] if is_return][-5:]
    lines += ["  returned before:"] + [f"    {operations[other]}" for other in before]
    return "\n".join(lines)


class HistoryError(Exception):
    pass


def read(paths):
    """The operations of history files (Grains/History.swift) by key, without those that had no effect.

    Times become seconds since the first event. A failed operation is certain not to have had an effect; a query
    without an outcome says nothing.
    """
    events = []
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            events += [json.loads(line) for line in lines if line.strip()]
    start = min((event["time"] for event in events), default=0)
    operations, keys, failed = {}, {}, set()
    for event in sorted(events, key=lambda event: (event["time"], event["event"] != "invoke")):
        identifier, time = event["operation"], (event["time"] - start) / 1e9
        if event["event"] == "invoke":
            if identifier in operations:
                raise HistoryError(f"{identifier} was invoked twice")
            keys[identifier] = event["key"]
            operations[identifier] = Operation(identifier, event["function"], tuple(event["arguments"]), time)
        elif event["event"] == "ok":
            operations[identifier].returned, operations[identifier].value = time, event["value"]
        elif event["event"] == "fail":
            failed.add(identifier)
    by_key = {}
    for identifier, operation in operations.items():
        if identifier in failed or (operation.function == "read" and not operation.is_known):
            continue
        by_key.setdefault(keys[identifier], []).append(operation)
    return by_key


def check_files(paths):
    """The verdicts on every key of some history files."""
    return [check(key, operations, MODELS[key.split("/")[0]]) for key, operations in sorted(read(paths).items())]


def main(paths):
    verdicts = check_files(paths)
    bad = [verdict for verdict in verdicts if verdict.is_linearizable is not True]
    for verdict in bad:
        print(f"{verdict.key}: {verdict.explanation}")
    count = sum(verdict.operations for verdict in verdicts)
    unknown = sum(verdict.unknown for verdict in verdicts)
    print(f"{len(verdicts)} keys, {count} operations, {unknown} of unknown outcome: {len(bad)} not linearisable")
    return 1 if bad else 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
