import EventLog
import OrchestraCore
import Placement
import Records
import Synchronization
import Testing

@testable import Silo

/// Turns that read other grains.
@Suite(.timeLimit(.minutes(1))) struct TurnReadTests {
    private let grains: [any Grain.Type] = [Counter.self, Reader.self]

    private func seen(_ bench: PartitionBench, _ key: String) async throws -> [Int] {
        do {
            return try await ClusterClient(handler: bench).grain(Reader.self, key: key).ask(Reader.Seen()).value
        } catch {
            guard error.code == .notFound else { throw error }
            return []
        }
    }

    @Test func aTurnSeesWhatAnotherGrainHasCommitted() async throws {
        let bench = try PartitionBench(grains: grains)
        try await bench.serve { bench in
            _ = try await bench.grain("sum").send(Add(amount: 5))
            try bench.order("read sum", key: "r")
            try await eventually("it has seen it") { try await seen(bench, "r") == [5] }
            let reader = try ClusterClient(handler: bench).grain(Reader.self, key: "r")
            #expect(try await reader.send(Reader.Look(key: "sum")) == 5)
            // Itself, as it was before the turn.
            try bench.order("seen r", key: "r")
            try await eventually("it has seen itself") { try await seen(bench, "r") == [5, 5, 2] }
        }
    }

    /// Two partitions, each with its own runtime, over one log.
    private func pair(_ calls: TestCalls) throws -> (PartitionBench, PartitionBench, keys: [String]) {
        let log = MemoryLog()
        let codec = TestCodec()
        let benches = try (0..<2).map { partition in
            try PartitionBench(
                log: log, codec: codec, grains: grains, partitionCount: 2, partition: Int32(partition),
                nodeID: "silo-\(partition)", calls: calls)
        }
        let partitioner = try Partitioner(partitionCount: 2)
        let keys = try (0..<2).map { partition in
            try #require((0..<100).map { "pair-\($0)" }.first { partitioner.partition(forKey: $0) == partition })
        }
        return (benches[0], benches[1], keys)
    }

    @Test func aReadWaitsForNoCommit() async throws {
        let (first, second, keys) = try pair(TestCalls())
        try await first.serve { first in
            try await second.serve { second in
                _ = try await second.grain(keys[1]).send(Add(amount: 1))
                first.log.blockCommits(true)
                async let reply = second.grain(keys[1]).send(Add(amount: 1))
                try await eventually("its second turn has run") { first.log.blockedCommits == 1 }
                try first.order("read \(keys[1])", key: keys[0])
                try await eventually("the reading turn has run too") { first.log.blockedCommits == 2 }
                first.log.blockCommits(false)
                #expect(try await reply == 2)
                try await eventually("it has seen the first") { try await seen(first, keys[0]) == [1] }
            }
        }
    }

    @Test func turnsThatReadEachOtherDoNotBlockEachOther() async throws {
        let (first, second, keys) = try pair(TestCalls())
        try await first.serve { first in
            try await second.serve { second in
                for key in keys { try first.order("begin", key: key) }
                try await first.idle()
                try await second.idle()
                for _ in 0..<50 {
                    try first.order("seen \(keys[1])", key: keys[0])
                    try first.order("seen \(keys[0])", key: keys[1])
                }
                try await eventually("all have seen") {
                    let counts = (try await seen(first, keys[0]).count, try await seen(second, keys[1]).count)
                    return counts == (51, 51)
                }
            }
        }
        #expect(try first.deadLetters.isEmpty)
    }

    @Test func aGrainWithoutStateIsNotFoundAtOnce() async throws {
        let bench = try PartitionBench(grains: grains)
        try bench.order("read-or-zero nobody", key: "careful")
        try bench.order("read nobody", key: "careless")
        try await bench.serve { bench in
            try await bench.idle()
            #expect(try await seen(bench, "careful") == [0])
        }
        #expect(try bench.deadLetters.map(\.code) == ["notFound"])
        #expect(Reader.probe.count(of: "read careless") == 3)
    }

    @Test func anAnswerThatIsNotThereYetIsNotWaitedFor() async throws {
        let bench = try PartitionBench(grains: grains)
        try bench.order("begin", key: "patient")
        try await bench.serve { bench in
            try await bench.idle()
            try bench.order("never", key: "patient")
            try bench.order("fail unavailable", key: "patient")
            try await eventually("both have failed") { try bench.deadLetters.count == 2 }
        }
        #expect(try bench.deadLetters.map(\.code) == ["notFound", "handlerFailed"], "a handler's error is no obstacle")
    }

    @Test(arguments: [
        OrchestraError.Code.unavailable, .notOwner, .overloaded, .deadlineExceeded,
    ])
    func anEventWaitsUntilTheOwnerIsBack(code: OrchestraError.Code) async throws {
        let calls = TestCalls()
        let bench = try PartitionBench(grains: grains, calls: calls)
        let isAway = Locked(true)
        calls.before { request throws(OrchestraError) in
            #expect(request.kind == .read && request.timeLeft > .seconds(1) && request.timeLeft <= .seconds(1.9))
            if isAway.value { throw OrchestraError(code, "nobody answers") }
        }
        let key = "waits-\(code)"
        try await bench.serve { bench in
            _ = try await bench.grain("sum").send(Add(amount: 7))
            try bench.order("read sum", key: key)
            // More often than a turn that fails is tried.
            try await eventually("it is tried again and again") {
                bench.clock.advance(.seconds(1))
                return Reader.probe.count(of: "read \(key)") > 4
            }
            #expect(try bench.deadLetters.isEmpty)
            #expect(try await bench.grain("meanwhile").send(Add(amount: 1)) == 1, "commands go on")
            let look = await SiloTests.code {
                let reader = try ClusterClient(handler: bench).grain(Reader.self, key: "asked")
                _ = try await reader.send(Reader.Look(key: "sum"), deadline: .seconds(1_000))
            }
            #expect(look == code, "a caller is told at once")
            isAway.use { $0 = false }
            try await eventually("it has had its effect") {
                bench.clock.advance(.seconds(1))
                let values = try await seen(bench, key)
                return values == [7]
            }
        }
        #expect(try bench.deadLetters.isEmpty)
    }

    @Test func aTurnThatLeavesNoTimeForItsReadFails() async throws {
        let calls = TestCalls()
        let bench = try PartitionBench(grains: grains, calls: calls)
        calls.before { request throws(OrchestraError) in
            if request.timeLeft < .seconds(1) { throw OrchestraError(.deadlineExceeded, "too late") }
        }
        let isFirst = Locked(true)
        Reader.stop.use { stops in
            stops["late"] = {
                if isFirst.use({ first in
                    defer { first = false }
                    return first
                }) {
                    bench.clock.advance(.seconds(1.2))
                }
            }
        }
        try await bench.serve { bench in
            _ = try await bench.grain("sum").send(Add(amount: 7))
            try bench.order("stop sum", key: "late")
            try await eventually("the dead letter") { try !bench.deadLetters.isEmpty }
        }
        #expect(try bench.deadLetters.map(\.code) == ["deadlineExceeded"])
    }

    @Test func theReadEndsBeforeTheTurnIsAbandoned() async throws {
        let calls = TestCalls()
        let bench = try PartitionBench(grains: grains, calls: calls)
        try await bench.serve { bench in
            _ = try await bench.grain("sum").send(Add(amount: 7))
            bench.runtime.shared.withLock { $0.isServing = false }
            try bench.order("read-or-zero sum", key: "r")
            try await eventually("the read waits for the partition to be served") { bench.waitingQueries == 1 }
            bench.clock.advance(.seconds(1.91))
            try await eventually("the handler has gone on without it") { bench.waitingQueries == 0 }
            bench.runtime.shared.withLock { $0.isServing = true }
            try await eventually("its turn counts") { try await seen(bench, "r") == [0] }
        }
        #expect(try bench.deadLetters.isEmpty)
    }
}
