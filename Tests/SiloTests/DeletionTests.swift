import EventLog
import OrchestraCore
import Records
import Testing

@testable import Silo

/// Graves: what a grain that is gone leaves behind, and for how long.
@Suite(.timeLimit(.minutes(1))) struct DeletionTests {
    private let grain: GrainID

    init() throws {
        grain = try GrainID(type: "counter", key: "a")
    }

    private func lastState(_ bench: PartitionBench) throws -> GrainStateRecord? {
        let record = bench.log.records(Topics.state).last { $0.key == Array("counter/a".utf8) }
        return try record?.value.map { try bench.codec.read(GrainStateRecord.self, $0) }
    }

    @Test func completingLeavesAGraveThatRemembersRequests() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let lifeOne = try PartitionBench(log: log, codec: codec)
        try await lifeOne.serve { bench in
            let grain = try bench.grain("a")
            #expect(try await grain.send(Add(amount: 9), requestID: "add") == 9)
            _ = try await grain.send(Finish(), requestID: "finish")
            let grave = try #require(try lastState(bench))
            #expect(grave.state == nil)
            #expect(grave.graveUntil != nil)
            #expect(grave.requests.map(\.requestId) == ["add", "finish"])
            await expectCode(.notFound) { _ = try await grain.ask(Total()) }
        }
        let lifeTwo = try PartitionBench(log: log, codec: codec)
        try await lifeTwo.serve { bench in
            #expect(try await bench.grain("a").send(Add(amount: 9), requestID: "add") == 9, "the recorded reply")
            _ = try await bench.grain("a").send(Finish(), requestID: "finish")
        }
    }

    @Test func theGraveIsBuriedAfterTheWindow() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            _ = try await bench.grain("a").send(Add(amount: 1), requestID: "r")
            _ = try await bench.grain("a").send(Finish())
            bench.clock.advance(.seconds(86_399))
            try await bench.idle()
            #expect(bench.committed(grain) != nil)
            bench.clock.advance(.seconds(2))
            try await eventually("the tombstone") {
                bench.log.records(Topics.state).last { $0.key == Array("counter/a".utf8) }?.value == nil
            }
            try await eventually("it is forgotten") { bench.committed(grain) == nil }
            #expect(bench.budget.bytes == 0)
        }
    }

    @Test func aGrainThatComesBackHasAHigherVersion() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            let grain = try bench.grain("a")
            _ = try await grain.send(Add(amount: 1))
            let first = try await grain.ask(Total()).version
            _ = try await grain.send(Finish())
            _ = try await grain.send(Add(amount: 2))
            let again = try await grain.ask(Total())
            #expect(again.value == 2, "it begins anew")
            #expect(again.version > first + 1)
            // The old grave's end does not bury the new life.
            bench.clock.advance(.seconds(90_000))
            try bench.order("add 1", key: "a")
            try await bench.idle()
            #expect(try await grain.ask(Total()).value == 3)
        }
    }

    @Test func completingAndComingBackInOneBatch() async throws {
        let bench = try PartitionBench()
        for text in ["add 5", "complete", "add 2", "complete", "add 3"] { try bench.order(text, key: "a") }
        try await bench.serve { bench in
            try await bench.idle()
            #expect(try await bench.total("a") == 3)
        }
    }

    @Test func timersEndWithTheGrain() async throws {
        let bench = try PartitionBench()
        try bench.order("ring 1000", key: "mortal")
        try bench.order("complete", key: "mortal")
        try await bench.serve { bench in
            try await bench.idle()
            bench.clock.advance(.seconds(5))
            try bench.order("add 1", key: "other")
            try await bench.idle()
        }
        #expect(Counter.probe.count(of: "ring mortal") == 0)
    }

    @Test func strayInputsLeaveNoState() async throws {
        let bench = try PartitionBench()
        try bench.order("nothing at all", key: "a")
        try await bench.serve { bench in
            try await bench.idle()
            #expect(bench.committed(grain) == nil)
        }
        #expect(!bench.log.records(Topics.state).contains { $0.key == Array("counter/a".utf8) })
    }
}
