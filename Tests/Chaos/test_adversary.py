"""The schedule follows from the seed, and spares what it must."""

import unittest

from adversary import NEEDS_NETWORK, ON_SILO, left_out, schedule


class ScheduleTests(unittest.TestCase):
    def plan(self, seed, duration=180, **options):
        settings = {"silos": 3, "spares": 2, "agents": 2, "gateways": 2, "can_cut": True}
        return schedule(seed, duration, **(settings | options))

    def test_same_seed_same_schedule(self):
        self.assertEqual(self.plan(7), self.plan(7))
        self.assertNotEqual(self.plan(7), self.plan(8))

    def test_every_fault_happens_in_some_seed(self):
        faults = {action.fault for seed in range(10) for action in self.plan(seed, duration=30)}
        self.assertEqual(len(faults), 10, faults)

    def test_one_silo_is_left_alone(self):
        for seed in range(200):
            actions = self.plan(seed)
            for moment in [action.at for action in actions]:
                hit = {
                    action.targets[0]
                    for action in actions
                    if action.fault in ON_SILO and action.at <= moment < action.until
                }
                self.assertLess(len(hit & {"silo-1", "silo-2", "silo-3"}), 3, f"seed {seed}")

    def test_a_node_has_one_fault_at_a_time(self):
        for seed in range(200):
            busy = {}
            for action in self.plan(seed):
                if action.fault in ON_SILO or action.fault.startswith("kill"):
                    name = action.targets[0]
                    self.assertGreaterEqual(action.at, busy.get(name, 0), f"seed {seed}: {action}")
                    busy[name] = action.until

    def test_no_cuts_where_there_is_no_network(self):
        for seed in range(20):
            faults = {action.fault for action in self.plan(seed, can_cut=False)}
            self.assertFalse(faults & {"cut silos", "split", "cut from kafka"})

    def test_what_is_left_out_without_a_network_is_counted(self):
        for seed in range(20):
            planned = [action.fault for action in self.plan(seed) if action.fault in NEEDS_NETWORK]
            self.assertEqual(left_out(seed, 180, 3, 2, 2, 2).total(), len(planned))
        self.assertEqual(left_out(1, 180, 3, 2, 2, 2, ["kill silo"]).total(), 0)
        self.assertEqual(self.plan(1, can_cut=False, faults=["split"]), [])


if __name__ == "__main__":
    unittest.main()
