import NIOCore
import SeededRandom
import Testing
import Transport

@Suite struct CallTableTests {
    @Test func anAnswerToAnEndedCallFindsNobody() {
        var table = CallTable<String>()
        let first = table.insert("first", deadline: 10)
        #expect(table.remove(first) == "first")
        let second = table.insert("second", deadline: 10)
        #expect(first != second)
        #expect(table.remove(first) == nil)
        #expect(table[second] == "second")
        #expect(table.remove(.max) == nil)
    }

    @Test func expiryTakesExactlyTheOverdue() {
        var table = CallTable<Int>()
        for deadline in [50, 10, 40, 20, 30] { _ = table.insert(deadline, deadline: UInt64(deadline)) }
        #expect(table.earliestDeadline == 10)
        #expect(table.removeExpired(at: 9).isEmpty)
        #expect(table.removeExpired(at: 30).sorted() == [10, 20, 30])
        #expect(table.earliestDeadline == 40)
        #expect(table.removeAll { $0 == 50 } == [50])
        #expect(table.removeExpired(at: .max - 1) == [40])
        #expect(table.count == 0 && table.earliestDeadline == .max)
    }

    /// Against a dictionary, under random use.
    @Test(arguments: [1, 2, 3] as [UInt64]) func behavesLikeADictionary(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = CallTable<UInt64>()
        var model: [UInt64: UInt64] = [:]
        var now: UInt64 = 0
        for step in 0..<20_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let deadline = now + UInt64.random(in: 1...200, using: &random)
                let id = table.insert(deadline, deadline: deadline)
                #expect(model.updateValue(deadline, forKey: id) == nil, "id \(id) was given twice")
            case 5..<9:
                guard let id = model.keys.randomElement(using: &random) else { continue }
                #expect(table.remove(id) == model.removeValue(forKey: id))
            default:
                now += UInt64.random(in: 0...50, using: &random)
                let expired = model.filter { $0.value <= now }
                for id in expired.keys { model[id] = nil }
                #expect(table.removeExpired(at: now).sorted() == expired.values.sorted(), "step \(step)")
            }
            #expect(table.count == model.count)
            #expect(table.earliestDeadline <= model.values.min() ?? .max)
        }
    }
}

@Suite struct BackoffTests {
    @Test func pausesDoubleToTheMaximumWithJitter() {
        var backoff = Backoff(minimum: .milliseconds(20), maximum: .milliseconds(100))
        #expect(backoff.next(fraction: 0) == .milliseconds(10))
        #expect(backoff.next(fraction: 0) == .milliseconds(20))
        #expect(backoff.next(fraction: 0.5) == .milliseconds(60))
        #expect(backoff.next(fraction: 0) == .milliseconds(50))
        #expect(backoff.next(fraction: 0) == .milliseconds(50))
        backoff.reset()
        #expect(backoff.next(fraction: 0) == .milliseconds(10))
    }
}

@Suite struct PatienceTests {
    @Test func silenceAddsUpUntilSomethingHappens() {
        var patience = Patience(step: .seconds(1), now: .uptimeNanoseconds(0))
        for second in 1...5 { #expect(patience.look(at: seconds(second)) == .seconds(Int64(second))) }
        patience.reset()
        #expect(patience.look(at: seconds(6)) == .seconds(1))
    }

    /// A process that slept for an hour has not listened for an hour.
    @Test func ownAbsenceCountsForTwoStepsAtMost() {
        var patience = Patience(step: .seconds(1), now: .uptimeNanoseconds(0))
        #expect(patience.look(at: seconds(3600)) == .seconds(2))
        #expect(patience.look(at: seconds(3601)) == .seconds(3))
    }

    private func seconds(_ seconds: Int) -> NIODeadline { .uptimeNanoseconds(UInt64(seconds) * 1_000_000_000) }
}
