import EventLog
import OrchestraCore
import Records
import Testing

@testable import Silo

/// What comes of told commands, and how their tellers hear of it.
@Suite(.timeLimit(.minutes(1))) struct TellReplyTests {
    private func makeBench(
        log: MemoryLog = MemoryLog(), codec: TestCodec = TestCodec(),
        _ configure: (inout GrainLimits) -> Void = { _ in }
    ) throws -> PartitionBench {
        try PartitionBench(log: log, codec: codec, grains: [Counter.self, Teller.self], configure)
    }

    /// What the teller keeps: what came of its commands, and the id of the first.
    private func answers(_ bench: PartitionBench, _ key: String) async throws -> [String] {
        do {
            return try await ClusterClient(handler: bench).grain(Teller.self, key: key).ask(Teller.Answers()).value
        } catch {
            guard error.code == .notFound else { throw error }
            return []
        }
    }

    private func told(_ bench: PartitionBench) throws -> [GrainCommandRecord] {
        try bench.log.records(Topics.commands).map { try bench.codec.read(GrainCommandRecord.self, $0) }
    }

    @Test(arguments: ["added", "added-slowly"])
    func theReplyReachesTheTellerOnce(handler: String) async throws {
        let bench = try makeBench()
        let key = "asks-\(handler)"
        try bench.order("add 5 sum \(handler)", key: key)
        try await bench.serve { bench in
            try await eventually("the reply has come") { try await !answers(bench, key).isEmpty }
            try await bench.idle()
            let taken = try await answers(bench, key)
            #expect(taken.first == "counter/sum: \(handler == "added" ? "5" : "slowly 5")")
            #expect(taken.count == 2)
            #expect(Teller.probe.count(of: "told \(key) \(taken.last ?? "")") == 1, "the id that tell has returned")
        }
        #expect(try told(bench).map(\.kind) == [.command, .reply])
        #expect(try bench.deadLetters.isEmpty)
        // The reply is part of the transaction that consumes the command and changes the counter.
        let reply = try #require(
            bench.log.commits.first { batch in
                batch.records.contains { $0.topic == Topics.commands && $0.key == Array(key.utf8) }
            })
        #expect(reply.records.contains { $0.key == Array("counter/sum".utf8) })
        #expect(reply.offsets[TopicPartition(topic: Topics.commands, partition: 0)] != nil)
    }

    @Test func theFailureReachesTheTellerInsteadOfTheDeadLetters() async throws {
        let bench = try makeBench()
        try bench.order("add -1 wrong", key: "blamed")
        try await bench.serve { bench in
            try await eventually("the failure has come") { try await !answers(bench, "blamed").isEmpty }
            let answer = try #require(try await answers(bench, "blamed").first)
            #expect(answer == "counter/wrong: handlerFailed, counter/wrong: the handler refuses")
        }
        #expect(try told(bench).map(\.kind) == [.command, .failure])
        #expect(try bench.deadLetters.isEmpty)
    }

    @Test func commandsThatNobodyKnowsFail() async throws {
        let bench = try makeBench()
        try bench.order("nobody", key: "one")
        try bench.order("fly", key: "two")
        try await bench.serve { bench in
            for key in ["one", "two"] {
                try await eventually("the failure has come") { try await !answers(bench, key).isEmpty }
                #expect(try await answers(bench, key).first?.contains("unimplemented") == true)
            }
        }
        #expect(try bench.deadLetters.isEmpty)
    }

    @Test func aReplyTooLargeForARecordIsAFailure() async throws {
        let bench = try makeBench { $0.maximumRecordSize = 4_000 }
        try bench.order("recite 100 short", key: "listener")
        try await bench.serve { bench in
            try await eventually("a reply has come") { try await !answers(bench, "listener").isEmpty }
            try bench.order("recite 5000 long", key: "listener")
            try await eventually("a failure has come") { try await answers(bench, "listener").count == 3 }
            #expect(try await answers(bench, "listener").first == "teller/short: 100 letters")
            #expect(try await answers(bench, "listener").last?.contains("tooLarge") == true)
        }
    }

    @Test func aReplyThatKafkaRefusesIsAFailure() async throws {
        let bench = try makeBench()
        let codec = bench.codec
        bench.log.setPoison { record in
            record.topic == Topics.commands
                && (try? codec.read(GrainCommandRecord.self, record.value))?.kind == .reply
        }
        try bench.order("add 1 poisoned", key: "unlucky")
        try await bench.serve { bench in
            try await eventually("the failure has come") { try await !answers(bench, "unlucky").isEmpty }
            #expect(try await answers(bench, "unlucky").first?.contains("tooLarge") == true)
            await expectCode(.notFound) { _ = try await bench.total("poisoned") }
        }
        #expect(try bench.deadLetters.isEmpty)
    }

    @Test func abortsAndRestartsRepeatNothing() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        for round in 1...6 {
            let bench = try makeBench(log: log, codec: codec)
            try bench.order("add 1 kept-sum", key: "kept")
            try await bench.serve { bench in
                log.inject(.abort(name: "_TIMED_OUT"), .none, .abort(name: "_TIMED_OUT"))
                try await eventually("the command has run") { (try? await bench.total("kept-sum")) == round }
            }
        }
        let last = try makeBench(log: log, codec: codec)
        try await last.serve { bench in
            try await eventually("all replies have come") { try await answers(bench, "kept").count == 7 }
            try await bench.idle()
            let taken = try await answers(bench, "kept").filter { $0.hasPrefix("counter") }
            #expect(taken == (1...6).map { "counter/kept-sum: \($0)" })
        }
        #expect(log.aborts > 0)
    }

    @Test func aReplyToAGrainThatHasCompletedIsADeadLetter() async throws {
        let bench = try makeBench()
        try bench.order("add 1 late", key: "gone")
        try bench.order("complete", key: "gone")
        try await bench.serve { bench in
            try await eventually("the dead letter") { try !bench.deadLetters.isEmpty }
            try await bench.idle()
            #expect(try await bench.total("late") == 1, "the command itself has run")
        }
        let letter = try #require(try bench.deadLetters.first)
        #expect((letter.topic, letter.code) == (Topics.commands, "notFound"))
        #expect(letter.reason.contains("counter/late answers teller/gone, which has completed meanwhile"))
    }

    @Test func aReplyWithoutItsHandlerIsADeadLetter() async throws {
        let bench = try makeBench()
        try bench.order("add 1 x", key: "older")
        let now = Timestamp(millisecondsSinceEpoch: 0)
        let command = GrainCommandRecord(
            requestId: "r", grainType: "counter", grainKey: "x", method: "Add", payload: Array(#"{"amount":1}"#.utf8),
            sentBy: "teller/older", sentAt: now, replyTo: "dropped-in-this-version")
        bench.log.append(
            ProducerRecord(
                topic: Topics.commands, partition: 0, key: Array("x".utf8), value: try bench.codec.encode(command)))
        try await bench.serve { bench in
            try await eventually("the dead letter") { try !bench.deadLetters.isEmpty }
        }
        let letter = try #require(try bench.deadLetters.first)
        #expect(letter.code == "unimplemented")
        #expect(letter.reason.contains("grain type teller has no handler OnReply(dropped-in-this-version)"))
    }

    @Test func aReplyHandlerThatThrowsIsADeadLetterAfterThreeAttempts() async throws {
        let bench = try makeBench()
        try bench.order("add 1 y refused", key: "thrower")
        try await bench.serve { bench in
            try await eventually("the dead letter") { try !bench.deadLetters.isEmpty }
        }
        #expect(Teller.probe.count(of: "refused thrower") == 3)
        #expect(try bench.deadLetters.map(\.code) == ["handlerFailed"])
        #expect(try told(bench).map(\.kind) == [.command, .reply], "nobody is answered for an answer")
    }

    @Test(arguments: [
        ("add 1 x nowhere", "unimplemented", #"OnReply("nowhere", to: Add.self)"#),
        ("add 1 x recited", "badConfiguration", "takes replies to Recite, not to Add"),
        ("complete-and-tell", "invalidArgument", "completes it and wants the reply"),
    ])
    func misuseIsAnErrorOfTheTurn(order: String, code: String, words: String) async throws {
        let bench = try makeBench()
        try bench.order(order, key: "misuse")
        try await bench.serveUntilIdle()
        let letter = try #require(try bench.deadLetters.first)
        #expect(letter.code == code)
        #expect(letter.reason.contains(words), "\(letter.reason)")
        #expect(try told(bench).isEmpty)
    }

    @Test func hostileRepliesAreDeadLetters() async throws {
        let bench = try makeBench()
        try bench.order("add 1 x", key: "victim")
        let now = Timestamp(millisecondsSinceEpoch: 0)
        var hostile = [GrainCommandRecord]()
        for (method, payload, sender, kind) in [
            ("added", "\"no number\"", "counter/x", ToldKind.reply), ("added", "{", "counter/x", .failure),
            ("added", "1", "no grain", .reply),
        ] {
            hostile.append(
                GrainCommandRecord(
                    requestId: "r", grainType: "teller", grainKey: "victim", method: method,
                    payload: Array(payload.utf8), sentBy: sender, sentAt: now, kind: kind, replyTo: "added"))
        }
        for record in hostile {
            bench.log.append(
                ProducerRecord(
                    topic: Topics.commands, partition: 0, key: Array("victim".utf8),
                    value: try bench.codec.encode(record)))
        }
        try await bench.serve { bench in
            try await eventually("the dead letters") { try bench.deadLetters.count == 3 }
            try await eventually("the good reply") { try await answers(bench, "victim").count == 2 }
            try await bench.idle()
        }
        #expect(try told(bench).count == hostile.count + 2, "nobody answers an answer")
    }
}
