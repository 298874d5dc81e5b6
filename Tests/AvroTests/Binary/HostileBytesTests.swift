import Avro
import Foundation
import OrchestraCore
import Records
import SeededRandom
import Testing

/// Damaged data of every generated record: each case throws or gives a record that encodes to something readable.
///
/// `ORCHESTRA_FUZZ_CASES` and `ORCHESTRA_FUZZ_SEED` change how many and which.
@Suite struct HostileBytesTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let seed = environment["ORCHESTRA_FUZZ_SEED"].flatMap { UInt64($0) } ?? 7
    private static let count = environment["ORCHESTRA_FUZZ_CASES"].flatMap { Int($0) } ?? 100_000

    @Test func generatedCode() throws {
        var random = SeededGenerator(seed: Self.seed)
        var accepted = 0
        for index in 0..<Self.count {
            let (record, valid) = Sample.all[index % Sample.all.count]
            let bytes = Mutation.apply(to: valid, &random)
            do {
                let again = try record.roundTrip(bytes)
                accepted += 1
                #expect(try record.roundTrip(again) == again, "seed \(Self.seed), case \(index): \(bytes.hexadecimal)")
            } catch {
                #expect(!error.message.isEmpty)
            }
        }
        // Most mutations damage something; some only change a value.
        #expect((Self.count / 100..<Self.count).contains(accepted), "\(accepted) of \(Self.count) accepted")
    }

    /// The same through avro-c: whatever the check lets pass, avro-c reads the same way.
    @Test func avroC() throws {
        var random = SeededGenerator(seed: Self.seed &+ 1)
        let schemas = try Sample.all.map { try AvroSchema(parsing: $0.0.avroSchema) }
        for index in 0..<Self.count / 10 {
            let (record, valid) = Sample.all[index % Sample.all.count]
            let bytes = Mutation.apply(to: valid, &random)
            let direct = Result { () throws(AvroError) in try record.roundTrip(bytes) }
            let general = Result { () throws(AvroError) in
                try record.resolve(bytes, writer: schemas[index % schemas.count])
            }
            let context: Comment = "seed \(Self.seed), case \(index), \(record): \(bytes.hexadecimal)"
            switch (direct, general) {
            case (.success(let left), .success(let right)): #expect(left == right, context)
            case (.failure, .failure): break
            case (.success, .failure(let error)):
                // avro-c cannot hold such a key.
                #expect(error.message.contains("NUL"), context)
            case (.failure(let error), .success): Issue.record(error, context)
            }
        }
    }
}

/// One valid value of each record, with every field in use.
enum Sample {
    static let all: [(any AvroRecord.Type, [UInt8])] = {
        let time = 1_700_000_000_000 as Int64
        return ownRecords.map { record in
            switch record {
            case is AgentResult.Type:
                (
                    record,
                    encoded(
                        AgentResult(
                            taskId: "w1/0", workflowId: "w1", agent: "summarizer", worker: "agent-1", outcome: .failed,
                            output: "short",
                            functions: [FunctionOutput(plugin: "Text", function: "Stats", output: "{}")],
                            error: "no", model: "local", attempts: 3, startedAt: .init(millisecondsSinceEpoch: time),
                            finishedAt: .init(millisecondsSinceEpoch: time + 5), traceParent: "00-1-2-01"))
                )
            case is AgentTask.Type:
                (
                    record,
                    encoded(
                        AgentTask(
                            taskId: "w1/0", workflowId: "w1", agent: "summarizer", input: "überlang 🙂",
                            createdAt: .init(millisecondsSinceEpoch: time), deadline: .init(millisecondsSinceEpoch: -1))
                    )
                )
            case is DeadLetter.Type:
                (
                    record,
                    encoded(
                        DeadLetter(
                            topic: "t", partition: 3, offset: 1 << 40, code: "malformed", reason: "cut", attempts: 1,
                            node: "silo-1", at: .init(millisecondsSinceEpoch: time), payload: [0, 1, 2], payloadSize: 3)
                    )
                )
            case is GrainCommandRecord.Type:
                (
                    record,
                    encoded(
                        GrainCommandRecord(
                            requestId: "r", grainType: "counter", grainKey: "k", method: "add", payload: [1],
                            sentBy: "a/b", sentAt: .init(millisecondsSinceEpoch: time), traceParent: "00-1-2-01",
                            kind: .failure, replyTo: "done"))
                )
            case is GrainStateRecord.Type:
                (
                    record,
                    encoded(
                        GrainStateRecord(
                            version: 9, committedAt: .init(millisecondsSinceEpoch: time), codec: .avro, schemaId: 4,
                            compression: .lz4, uncompressedSize: 5000, state: [9, 9],
                            timers: [GrainTimer(name: "x", dueAt: .init(millisecondsSinceEpoch: time))],
                            requests: [
                                RecordedRequest(requestId: "q", at: .init(millisecondsSinceEpoch: time), reply: [])
                            ], graveUntil: .init(millisecondsSinceEpoch: time)))
                )
            case is PartitionClaim.Type:
                (
                    record,
                    encoded(
                        PartitionClaim(
                            silo: "s", generation: 7, transactionalId: "t",
                            claimedAt: .init(millisecondsSinceEpoch: time)))
                )
            case is PartitionProgress.Type:
                (
                    record,
                    encoded(
                        PartitionProgress(
                            sequence: 70, nextOffsets: ["agent-results": 12, "workflow-start-events": 1 << 33],
                            lastTime: .init(millisecondsSinceEpoch: time)))
                )
            case is SealedRequests.Type:
                (
                    record,
                    encoded(
                        SealedRequests(requests: [
                            SealedRequest(requestId: "q", at: .init(millisecondsSinceEpoch: time), reply: [1])
                        ]))
                )
            case is SiloHeartbeat.Type: (record, encoded(SiloHeartbeat(silo: "s", generation: 7, sequence: 8)))
            case is WorkflowState.Type:
                (
                    record,
                    encoded(
                        WorkflowState(
                            workflow: "summarize", status: .completed, step: 0, output: "out",
                            functions: [StepOutput(step: 0, plugin: "p", function: "f", output: "o")],
                            acceptedAt: .init(millisecondsSinceEpoch: time),
                            startedAt: .init(millisecondsSinceEpoch: time)))
                )
            default: (record, encoded(Sample.workflowStart))
            }
        }
    }()

    static let workflowStart = WorkflowStartEvent(
        workflowId: "0192f0c1-7a55-7cc0-9a39-1f6c2ff0d3aa", workflow: "summarize",
        input: "Some text that is to be summarised, of a usual length for a test.",
        inputDigest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        acceptedAt: .init(millisecondsSinceEpoch: 1_700_000_000_000), gateway: "gateway-1",
        traceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")

    private static func encoded(_ record: some AvroRecord) -> [UInt8] {
        var writer = AvroWriter()
        record.write(to: &writer)
        return writer.bytes
    }
}
