import OrchestraCore
import Synchronization
import Testing

@testable import Silo

/// How fast changelogs are read from their beginning.
struct RestorePaceTests {
    /// Time that passes only in sleeps.
    private final class StillClock: Sendable {
        private let start = ContinuousClock.now
        private let passed = Mutex(Duration.zero)

        func advance(_ duration: Duration) { passed.withLock { $0 += duration } }

        var elapsed: Duration { passed.withLock { $0 } }
        var clocks: Clocks {
            Clocks(
                wall: { Timestamp(millisecondsSinceEpoch: 0) },
                monotonic: { self.start.advanced(by: self.elapsed) }, sleep: { self.advance($0) })
        }
    }

    @Test func whatIsReadTakesItsTime() async {
        let clock = StillClock()
        let pace = RestorePace(bytesPerSecond: 1_000_000, clocks: clock.clocks)
        for _ in 0..<1_000 { await pace.spend(bytes: 5_500) }
        #expect(clock.elapsed > .milliseconds(5_498) && clock.elapsed < .milliseconds(5_502))
    }

    @Test func idleTimeIsNotSavedUp() async {
        let clock = StillClock()
        let pace = RestorePace(bytesPerSecond: 1_000, clocks: clock.clocks)
        clock.advance(.seconds(100))
        await pace.spend(bytes: 3_000)
        #expect(clock.elapsed == .seconds(103))
    }

    @Test func aSlowReaderIsNotHeldUp() async {
        let clock = StillClock()
        let pace = RestorePace(bytesPerSecond: 1_000_000, clocks: clock.clocks)
        for _ in 0..<100 {
            clock.advance(.milliseconds(10))
            await pace.spend(bytes: 900)
        }
        #expect(clock.elapsed == .seconds(1))
    }

    @Test(.timeLimit(.minutes(1))) func restoresKeepToIt() async throws {
        let log = MemoryLog()
        let before = try PartitionBench(log: log)
        try await before.serve { bench in
            for index in 0..<300 { _ = try await bench.grain("grain \(index)").send(Add(amount: 1)) }
        }
        let clock = StillClock()
        let after = try PartitionBench(log: log, pace: RestorePace(bytesPerSecond: 10_000, clocks: clock.clocks))
        try await after.serve { (bench: PartitionBench) async throws in
            try await bench.idle()
            #expect(try await bench.total("grain 7") == 1)
        }
        #expect(clock.elapsed > .seconds(5), "300 states and their commits are more than 50 kB")
    }
}
