"""Changelogs, good and bad, and what the judge must say of them."""

import unittest

from partitions import PROGRESS, Record, _Judge


class NoSchemas:
    """Records of these tests are their own decoded form."""

    @staticmethod
    def decode(value):
        return value


class Changelog:
    """Writes records as silos would; each silo has a producer id of its own."""

    def __init__(self):
        self.records, self.epochs = [], {"a": 0, "b": 0}

    def _add(self, silo, key, value):
        producer = {"a": 100, "b": 200}[silo]
        self.records.append(Record(len(self.records), key, value, producer, self.epochs[silo]))

    def claim(self, silo):
        self._add(silo, b"\0claim/" + silo.encode(), {"silo": silo})

    def delete_claim(self, by, of):
        self._add(by, b"\0claim/" + of.encode(), None)

    def commit(self, silo, sequence, offset=None):
        self._add(silo, b"counter/x", {})
        self._add(silo, PROGRESS, {"sequence": sequence, "nextOffsets": {"t": sequence if offset is None else offset}})

    def judged(self):
        judge = _Judge(0, NoSchemas)
        for record in self.records:
            judge.take(record)
        return judge.report


class OwnershipTests(unittest.TestCase):
    def setUp(self):
        self.log = Changelog()
        self.log.claim("a")
        self.log.commit("a", 1)
        self.log.commit("a", 2)

    def check(self, *expected):
        violations = self.log.judged().violations
        self.assertEqual(len(violations) > 0, len(expected) > 0, violations)
        for text in expected:
            self.assertTrue(any(text in violation for violation in violations), violations)

    def take_over(self):
        self.log.claim("b")
        self.log.delete_claim("b", "a")

    def test_one_owner(self):
        self.check()

    def test_takeover(self):
        self.take_over()
        self.log.commit("b", 3)
        self.check()
        self.assertEqual([silo for _, silo in self.log.judged().owners], ["a", "b"])

    def test_old_owner_may_commit_until_it_is_fenced(self):
        self.log.claim("b")
        self.log.commit("a", 3)
        self.log.delete_claim("b", "a")
        self.log.commit("b", 4)
        self.check()

    def test_release_and_return(self):
        self.log.delete_claim("a", "a")
        self.log.claim("b")
        self.log.commit("b", 3)
        self.log.delete_claim("b", "b")
        self.log.claim("a")
        self.log.commit("a", 4)
        self.check()

    def test_zombie_commits_after_its_successor(self):
        self.log.claim("b")
        self.log.commit("b", 3)
        self.log.commit("a", 4)
        self.check("older than that of")

    def test_zombie_commits_after_its_claim_was_deleted(self):
        self.take_over()
        self.log.commit("a", 3)
        self.check("which has no claim")

    def test_both_count_the_same_commit(self):
        self.take_over()
        self.log.commit("b", 3)
        self.log.claim("a")
        self.log.commit("a", 3)
        self.check("commit 3 by producer 100 follows commit 3")

    def test_restored_state_lacks_a_commit(self):
        self.take_over()
        self.log.commit("b", 2)
        self.check("commit 2 by producer 200 follows commit 2")

    def test_lost_commit(self):
        self.log.commit("a", 4)
        self.check("commit 4 by producer 100 follows commit 2")

    def test_no_claim_at_all(self):
        self.log.commit("b", 3)
        self.check("which has no claim")

    def test_input_read_again(self):
        self.log.commit("a", 3, offset=1)
        self.check("goes back from 2 to 1")

    def test_epoch_goes_back(self):
        self.log.epochs["a"] = 1
        self.log.commit("a", 3)
        self.log.epochs["a"] = 0
        self.log.commit("a", 4)
        self.check("in epoch 0 after epoch 1")


if __name__ == "__main__":
    unittest.main()
