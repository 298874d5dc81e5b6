"""Histories, good and bad, and what the checker must say of them. Run: python -m unittest discover Tests/Chaos"""

import math
import random
import time
import unittest

from linearizability import Counter, Operation, Register, check


def op(function, *arguments, at, value=None):
    """`at` is (invoked, returned); without a return the outcome is unknown."""
    invoked, returned = at if isinstance(at, tuple) else (at, math.inf)
    return Operation(f"{function}@{invoked}", function, arguments, invoked, returned, value)


def is_linearizable(model, *operations):
    return check("key", list(operations), model).is_linearizable


class RegisterTests(unittest.TestCase):
    def test_one_after_the_other(self):
        self.assertTrue(
            is_linearizable(
                Register,
                op("read", at=(0, 1), value=0),
                op("write", 1, at=(2, 3), value=1),
                op("read", at=(4, 5), value=1),
                op("cas", 1, 2, at=(6, 7), value=2),
                op("cas", 1, 3, at=(8, 9), value=2),
                op("read", at=(10, 11), value=2),
            )
        )

    def test_stale_read(self):
        stale = [op("write", 1, at=(0, 1), value=1), op("write", 2, at=(2, 3), value=2)]
        self.assertTrue(is_linearizable(Register, *stale, op("read", at=(4, 5), value=2)))
        self.assertFalse(is_linearizable(Register, *stale, op("read", at=(4, 5), value=1)))

    def test_lost_write(self):
        self.assertFalse(is_linearizable(Register, op("write", 1, at=(0, 1), value=1), op("read", at=(2, 3), value=0)))

    def test_value_from_nowhere(self):
        self.assertFalse(is_linearizable(Register, op("read", at=(0, 1), value=7)))

    def test_overlap_explains_either(self):
        write = op("write", 1, at=(0, 10), value=1)
        self.assertTrue(is_linearizable(Register, write, op("read", at=(1, 2), value=0)))
        self.assertTrue(is_linearizable(Register, write, op("read", at=(1, 2), value=1)))

    def test_reads_go_forward(self):
        """Once one read saw the write, a later one must see it too."""
        write = op("write", 1, at=(0, 10), value=1)
        reads = [op("read", at=(1, 2), value=1), op("read", at=(3, 4), value=0)]
        self.assertFalse(is_linearizable(Register, write, *reads))
        self.assertTrue(is_linearizable(Register, write, *[op("read", at=(1, 2), value=v) for v in (0, 1)]))

    def test_two_exchanges_of_the_same_value(self):
        exchanges = [op("cas", 0, 1, at=(0, 5), value=1), op("cas", 0, 2, at=(0, 5), value=2)]
        self.assertFalse(is_linearizable(Register, *exchanges))
        exchanges[1].value = 1
        self.assertTrue(is_linearizable(Register, *exchanges))

    def test_unknown_write_counts_as_either(self):
        unknown = op("write", 1, at=0)
        self.assertTrue(is_linearizable(Register, unknown, op("read", at=(1, 2), value=0)))
        self.assertTrue(is_linearizable(Register, unknown, op("read", at=(1, 2), value=1)))
        # It may come late, but it comes once.
        other = op("write", 2, at=(3, 4), value=2)
        late = [op("read", at=(1, 2), value=0), other, op("read", at=(5, 6), value=1)]
        self.assertTrue(is_linearizable(Register, unknown, *late))
        twice = [op("read", at=(1, 2), value=1), other, op("read", at=(5, 6), value=1)]
        self.assertFalse(is_linearizable(Register, unknown, *twice))

    def test_unknown_write_has_no_effect_before_its_invocation(self):
        self.assertFalse(is_linearizable(Register, op("read", at=(0, 1), value=1), op("write", 1, at=2)))

    def test_chain_of_unknown_exchanges(self):
        chain = [op("write", 1, at=0), op("cas", 1, 2, at=1), op("cas", 2, 3, at=2)]
        self.assertTrue(is_linearizable(Register, *chain, op("read", at=(5, 6), value=3)))
        self.assertFalse(is_linearizable(Register, *chain[1:], op("read", at=(5, 6), value=3)))

    def test_exchange_shows_what_it_expected(self):
        unknown = op("write", 1, at=0)
        self.assertTrue(is_linearizable(Register, unknown, op("cas", 1, 2, at=(1, 2), value=2)))

    def test_many_unknown_writes_cost_little(self):
        unknown = [op("write", 1000 + n, at=n) for n in range(200)]
        reads = [op("read", at=(300 + n, 300.5 + n), value=0) for n in range(200)]
        self.assertTrue(is_linearizable(Register, *unknown, *reads))


class CounterTests(unittest.TestCase):
    def test_one_after_the_other(self):
        self.assertTrue(
            is_linearizable(
                Counter,
                op("add", 3, at=(0, 1), value=3),
                op("read", at=(2, 3), value=3),
                op("add", 4, at=(4, 5), value=7),
            )
        )

    def test_double_increment(self):
        adds = [op("add", 3, at=(0, 1), value=3), op("add", 4, at=(2, 3), value=10)]
        self.assertFalse(is_linearizable(Counter, *adds))
        final = [op("add", 3, at=(0, 1), value=3), op("read", at=(2, 3), value=6)]
        self.assertFalse(is_linearizable(Counter, *final))

    def test_lost_increment(self):
        self.assertFalse(is_linearizable(Counter, op("add", 3, at=(0, 1), value=3), op("add", 4, at=(2, 3), value=4)))

    def test_same_reply_twice(self):
        """Two owners that both begin from the same state."""
        adds = [op("add", 1, at=(0, 5), value=1), op("add", 1, at=(0, 5), value=1)]
        self.assertFalse(is_linearizable(Counter, *adds))

    def test_unknown_add_counts_as_either_but_once(self):
        unknown = op("add", 5, at=0)
        self.assertTrue(is_linearizable(Counter, unknown, op("add", 1, at=(1, 2), value=1)))
        self.assertTrue(is_linearizable(Counter, unknown, op("add", 1, at=(1, 2), value=6)))
        self.assertFalse(is_linearizable(Counter, unknown, op("add", 1, at=(1, 2), value=11)))
        late = [op("add", 1, at=(1, 2), value=1), op("read", at=(100, 101), value=6)]
        self.assertTrue(is_linearizable(Counter, unknown, *late))
        self.assertFalse(is_linearizable(Counter, unknown, *late, op("read", at=(200, 201), value=1)))


def simulate(model, count, clients, generator, unknown=0.01):
    """A history of a correct object: each operation takes effect at a moment of its own."""
    state, operations, pending = 0, [], []
    free = [0.0] * clients
    for number in range(count):
        client = min(range(clients), key=free.__getitem__)
        invoked = free[client] + generator.random()
        effect = invoked + generator.random()
        returned = effect + generator.random()
        free[client] = returned
        kind = generator.choice(["add", "read"] if model is Counter else ["write", "cas", "read"])
        pending.append((effect, number, kind, invoked, returned, generator.random() < unknown))
    for _, number, kind, invoked, returned, is_unknown in sorted(pending):
        arguments = ()
        if kind == "add":
            arguments = (generator.randint(1, 1000),)
        elif kind == "write":
            arguments = (number + 1,)
        elif kind == "cas":
            arguments = (state if generator.random() < 0.7 else 0, number + 1)
        operation = op(kind, *arguments, at=invoked)
        if is_unknown and generator.random() < 0.5:
            if kind != "read":
                operations.append(operation)
            continue
        state = model.step(state, operation)
        if not is_unknown:
            operation.returned, operation.value = returned, state
        if kind != "read" or not is_unknown:
            operations.append(operation)
    return operations


class RandomHistories(unittest.TestCase):
    def test_correct_objects_pass_and_damaged_histories_do_not(self):
        for seed in range(30):
            generator = random.Random(seed)
            for model in (Counter, Register):
                operations = simulate(model, 200, 4, generator)
                self.assertTrue(check("key", operations, model).is_linearizable, f"seed {seed}")
                # A reply that nothing explains.
                victim = generator.choice([o for o in operations if o.is_known])
                victim.value += 1_000_000
                self.assertFalse(check("key", operations, model).is_linearizable, f"seed {seed}, damaged")

    def test_lost_effects_are_found(self):
        """An acknowledged operation whose effect disappears: its own record is gone, later replies stay."""
        for seed in range(30):
            generator = random.Random(seed)
            operations = [o for o in simulate(Counter, 100, 3, generator, unknown=0) if o.function == "add"]
            operations.remove(generator.choice(operations[:20]))
            self.assertFalse(check("key", operations, Counter).is_linearizable, f"seed {seed}")

    def test_thousands_of_operations_take_seconds(self):
        generator = random.Random(1)
        for model in (Counter, Register):
            operations = simulate(model, 5000, 6, generator, unknown=0.004)
            start = time.monotonic()
            self.assertTrue(check("key", operations, model).is_linearizable)
            self.assertLess(time.monotonic() - start, 30)


if __name__ == "__main__":
    unittest.main()
