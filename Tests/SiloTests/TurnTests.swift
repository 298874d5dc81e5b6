import EventLog
import OrchestraCore
import Records
import Testing

@testable import Silo

/// What a turn may do, and what it leaves behind.
@Suite(.timeLimit(.minutes(1))) struct TurnTests {
    @Test func eventsChangeGrainsInOrder() async throws {
        let bench = try PartitionBench()
        for number in 1...50 { try bench.order("add \(number)", key: "a") }
        try bench.order("add 5", key: "b")
        try await bench.serve { bench in
            try await bench.idle()
            #expect(try await bench.total("a") == 1_275)
            #expect(try await bench.total("b") == 5)
        }
    }

    @Test func stateOutputOffsetsAndProgressAreOneTransaction() async throws {
        let bench = try PartitionBench()
        try bench.order("receipt 3", key: "a")
        try await bench.serveUntilIdle()
        let batch = try #require(bench.log.commits.last { !$0.offsets.isEmpty })
        #expect(batch.records.map(\.topic) == ["orchestra.state", "receipts", "orchestra.state"])
        #expect(batch.records.first?.key == Array("counter/a".utf8))
        #expect(batch.records.last?.key == Array("\0progress".utf8), "progress is part of every transaction")
        #expect(batch.offsets[TopicPartition(topic: "orders", partition: 0)] == 1)
    }

    @Test func theClaimComesFirst() async throws {
        let bench = try PartitionBench()
        try bench.order("add 1", key: "a")
        try await bench.serveUntilIdle()
        let first = try #require(bench.log.records("orchestra.state").first)
        #expect(first.key == Array("\0claim/silo-1".utf8))
        let claim = try bench.codec.read(PartitionClaim.self, first)
        #expect((claim.silo, claim.generation) == ("silo-1", 1))
    }

    @Test func withoutWorkThereIsNoTransaction() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            try await bench.idle()
            let commits = bench.log.commits.count
            for _ in 0..<5 { _ = try? await bench.total("nobody") }
            #expect(bench.log.commits.count == commits, "neither idling nor queries commit anything")
            #expect(commits == 1, "the claim")
        }
    }

    @Test func aThrowingTurnIsTriedThriceAndGoesToTheDeadLetters() async throws {
        let bench = try PartitionBench()
        let key = "thrower"
        try bench.order("add 1", key: key)
        let offset = try bench.order("throw", key: key)
        try bench.order("add 10", key: key)
        try await bench.serve { bench in
            try await bench.idle()
            #expect(try await bench.total(key) == 11, "the turns around it count, its own changes do not")
        }
        #expect(Counter.probe.count(of: "throw \(key)") == 3)
        let letter = try #require(try bench.deadLetters.first)
        #expect((letter.topic, letter.offset, letter.attempts) == ("orders", offset, 3))
        #expect(letter.code == "handlerFailed")
        #expect(letter.reason.contains("the handler refuses"))
        let batch = try #require(bench.log.commits.first { $0.records.contains { $0.topic == Topics.deadLetters } })
        #expect(
            batch.offsets[TopicPartition(topic: "orders", partition: 0)] != nil, "in the transaction that consumes it")
        let headers = try #require(batch.records.first { $0.topic == Topics.deadLetters }).headers.map(\.name)
        #expect(headers.contains("orchestra.topic") && headers.contains("orchestra.grain"))
    }

    @Test func aTurnThatRecoversHasOneEffect() async throws {
        let bench = try PartitionBench()
        try bench.order("throw-twice", key: "recovers")
        try await bench.serve { bench in
            try await bench.idle()
            #expect(try await bench.total("recovers") == 1)
        }
        #expect(try bench.deadLetters.isEmpty)
    }

    @Test func stateOverItsLimitIsAnErrorOfTheTurn() async throws {
        let bench = try PartitionBench { $0.maximumStateSize = 10_000 }
        try bench.order("add 1", key: "a")
        try bench.order("grow 20000", key: "a")
        try await bench.serve { bench in
            try await bench.idle()
            #expect(try await bench.total("a") == 1)
        }
        let letter = try #require(try bench.deadLetters.first)
        #expect(letter.code == "tooLarge")
        #expect(letter.attempts == 1, "it would not fit the second time either")
    }

    @Test func aDeadLetterIsTruncated() async throws {
        let bench = try PartitionBench { $0.deadLetterPayload = 100 }
        try bench.order("throw " + String(repeating: "y", count: 5_000), key: "long")
        try await bench.serveUntilIdle()
        let letter = try #require(try bench.deadLetters.first)
        #expect(letter.payload?.count == 100)
        #expect(letter.payloadSize > 5_000)
    }

    @Test func publishingToAnUndeclaredStreamFails() async throws {
        let bench = try PartitionBench()
        try bench.order("stray", key: "a")
        try await bench.serveUntilIdle()
        #expect(try bench.deadLetters.first?.code == "badConfiguration")
        #expect(bench.log.records("agent-tasks").isEmpty)
    }

    @Test func largeStateIsCompressedAndRestored() async throws {
        let log = MemoryLog()
        let codec = TestCodec()
        let first = try PartitionBench(log: log, codec: codec)
        try first.order("grow 5000", key: "a")
        try await first.serveUntilIdle()
        let value = try #require(log.records(Topics.state).last { $0.key == Array("counter/a".utf8) }?.value)
        #expect(value.count < 1_000)
        let second = try PartitionBench(log: log, codec: codec, nodeID: "silo-2")
        try second.order("add 4", key: "a")
        try await second.serve { bench in
            try await bench.idle()
            #expect(try await bench.total("a") == 4)
        }
    }

    @Test func toldCommandsRunOnceAfterTheCommit() async throws {
        let bench = try PartitionBench()
        try bench.order("tell 5 other", key: "teller")
        try await bench.serve { bench in
            try await eventually("the told command has run") { (try? await bench.total("other")) == 5 }
        }
        #expect(bench.log.records(Topics.commands).count == 1)
        #expect(Counter.probe.count(of: "add other") == 1)
    }

    @Test func aCommandToAnUnknownGrainTypeIsADeadLetter() async throws {
        let bench = try PartitionBench()
        try bench.order("tell-nobody", key: "a")
        try await bench.serve { bench in
            try await eventually("the dead letter") { try !bench.deadLetters.isEmpty }
        }
        #expect(try bench.deadLetters.first?.code == "unimplemented")
    }

    @Test func timersFireOnceAndSurviveRestarts() async throws {
        let (log, codec, clock) = (MemoryLog(), TestCodec(), TestClock())
        let first = try PartitionBench(log: log, codec: codec, clock: clock)
        try first.order("ring 60000", key: "timed")
        try first.order("ring 60000", key: "silenced")
        try first.order("silence", key: "silenced")
        try await first.serveUntilIdle()
        #expect(Counter.probe.count(of: "ring timed") == 0)
        let second = try PartitionBench(log: log, codec: codec, clock: clock)
        try await second.serve { bench in
            try await bench.idle()
            clock.advance(.seconds(61))
            try await eventually("the timer has rung") { try await bench.total("timed") == 1_000 }
            clock.advance(.seconds(61))
            try bench.order("add 1", key: "timed")
            try await bench.idle()
            #expect(try await bench.total("timed") == 1_001)
        }
        #expect(Counter.probe.count(of: "ring timed") == 1)
        #expect(Counter.probe.count(of: "ring silenced") == 0)
    }

    @Test func aTimerThatFailsIsADeadLetterAndIsGone() async throws {
        let bench = try PartitionBench()
        try bench.order("break", key: "a")
        try await bench.serve { bench in
            try await eventually("the dead letter") { try !bench.deadLetters.isEmpty }
            try await bench.idle()
        }
        let letters = try bench.deadLetters
        #expect(letters.count == 1)
        #expect(letters.first?.reason.contains("timer \"broken\" of counter/a") == true)
        #expect(bench.log.records(Topics.state).count { $0.key == Array("counter/a".utf8) } == 2, "set, then gone")
    }

    @Test func timeNeverGoesBack() async throws {
        let (log, codec, clock) = (MemoryLog(), TestCodec(), TestClock())
        let first = try PartitionBench(log: log, codec: codec, clock: clock)
        try first.order("add 1", key: "a")
        try await first.serveUntilIdle()
        let before = clock.wall.millisecondsSinceEpoch
        clock.turnBack(.seconds(3_600))
        let second = try PartitionBench(log: log, codec: codec, clock: clock)
        try second.order("add 1", key: "a")
        try await second.serveUntilIdle()
        let state = try #require(log.records(Topics.state).last { $0.key == Array("counter/a".utf8) }?.value)
        let record = try codec.read(GrainStateRecord.self, state)
        let encoded = try #require(try EncodedState(record))
        let grain = try #require(try StateFormat<Counter>.json.decode(encoded, codec))
        #expect(grain.seenAt >= before)
    }
}
