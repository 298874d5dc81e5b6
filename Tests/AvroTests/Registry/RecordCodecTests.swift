import Avro
import Foundation
import OrchestraCore
import Records
import Testing

@Suite(.timeLimit(.minutes(1))) struct RecordCodecTests {
    private func code(_ body: () async throws(AvroError) -> Void) async -> AvroError.Code? {
        do throws(AvroError) {
            try await body()
            return nil
        } catch {
            return error.code
        }
    }

    @Test func roundTrip() async throws {
        let registry = try ScriptedRegistry()
        let codec = RecordCodec(registry: registry.client)
        try await codec.register(WorkflowStartEvent.self, subject: "workflow-start-events-value")
        let bytes = try codec.encode(Sample.workflowStart)
        #expect(bytes.prefix(5) == [0, 0, 0, 0, 1])
        #expect(try codec.decodeIfKnown(WorkflowStartEvent.self, from: bytes) == Sample.workflowStart)
        #expect(try await codec.decode(WorkflowStartEvent.self, from: bytes) == Sample.workflowStart)
        #expect(try await codec.recordName(in: bytes) == "orchestra.events.WorkflowStartEvent")
        let body = try codec.encodeUnframed(Sample.workflowStart)
        let id = try codec.schemaID(of: WorkflowStartEvent.self)
        #expect(try await codec.decode(WorkflowStartEvent.self, unframed: body, schemaID: id) == Sample.workflowStart)
        #expect(registry.server.requests.count == 1)
        await registry.close()
    }

    @Test func notRegistered() async throws {
        let registry = try ScriptedRegistry()
        let codec = RecordCodec(registry: registry.client)
        #expect(await code { () throws(AvroError) in _ = try codec.encode(Sample.workflowStart) } == .notRegistered)
        await registry.close()
    }

    @Test func foreignWriter() async throws {
        let registry = try ScriptedRegistry()
        let codec = RecordCodec(registry: registry.client)
        let writer = try AvroSchema(
            parsing: """
                {"type": "record", "name": "PartitionClaim", "namespace": "older.place", "fields": [
                    {"name": "claimedAt", "type": "int"}, {"name": "gone", "type": "string"}, {"name": "transactionalId", "type": "string"},
                    {"name": "generation", "type": "int"}, {"name": "silo", "type": "bytes"}]}
                """)
        let id = registry.add(writer.text)
        let data = try writer.encode(
            .record([
                .init(name: "claimedAt", value: .int(5)), .init(name: "gone", value: .string("x")),
                .init(name: "transactionalId", value: .string("t1")),
                .init(name: "generation", value: .int(7)), .init(name: "silo", value: .bytes(Array("s1".utf8))),
            ]))
        let framed = [0, 0, 0, 0, UInt8(id)] + data
        #expect(try codec.decodeIfKnown(PartitionClaim.self, from: framed) == nil)
        let claim = PartitionClaim(
            silo: "s1", generation: 7, transactionalId: "t1", claimedAt: Timestamp(millisecondsSinceEpoch: 5))
        #expect(try await codec.decode(PartitionClaim.self, from: framed) == claim)
        #expect(try codec.decodeIfKnown(PartitionClaim.self, from: framed) == claim)
        #expect(
            await code { () throws(AvroError) in _ = try await codec.decode(PartitionClaim.self, from: framed + [0]) }
                == .trailingBytes)
        #expect(
            await code { () throws(AvroError) in
                _ = try await codec.decode(PartitionClaim.self, from: framed.dropLast())
            } == .endOfData)
        #expect(
            await code { () throws(AvroError) in _ = try await codec.decode(AgentTask.self, from: framed) }
                == .wrongRecord)
        await registry.close()
    }

    @Test func badFrames() async throws {
        let registry = try ScriptedRegistry()
        let codec = RecordCodec(registry: registry.client)
        try await codec.register(AgentTask.self, subject: "agent-tasks-value")
        for bytes in [[], [0], [0, 0, 0, 1], [1, 0, 0, 0, 1], Array("{\"a\": 1}".utf8)] as [[UInt8]] {
            #expect(
                await code { () throws(AvroError) in _ = try await codec.decode(AgentTask.self, from: bytes) }
                    == .notFramed)
            #expect(
                await code { () throws(AvroError) in _ = try codec.decodeIfKnown(AgentTask.self, from: bytes) }
                    == .notFramed)
        }
        #expect(
            await code { () throws(AvroError) in _ = try await codec.decode(AgentTask.self, from: [0, 0, 0, 0, 1]) }
                == .endOfData)
        #expect(
            await code { () throws(AvroError) in _ = try await codec.decode(AgentTask.self, from: [0, 0, 0, 0, 99, 1]) }
                == .unknownSchemaID)
        #expect(
            await code { () throws(AvroError) in
                _ = try await codec.decode(AgentTask.self, from: [0, 255, 255, 255, 255, 1])
            } == .unknownSchemaID)
        let number = registry.add(#""int""#)
        #expect(
            await code { () throws(AvroError) in
                _ = try await codec.decode(AgentTask.self, from: [0, 0, 0, 0, UInt8(number), 2])
            } == .wrongRecord)
        await registry.close()
    }

    @Test func registryAway() async throws {
        let registry = try ScriptedRegistry()
        let codec = RecordCodec(registry: registry.client)
        registry.server.stop()
        do throws(AvroError) {
            _ = try await codec.decode(AgentTask.self, from: [0, 0, 0, 0, 9, 1])
            Issue.record("decoded without a schema")
        } catch {
            #expect(error.code == .registryUnavailable)
            #expect(error.isRetriable)
        }
        await registry.close()
    }

    /// Decoders are shared by tasks, avro-c's handles with them.
    @Test func manyTasksDecodeAtOnce() async throws {
        let registry = try ScriptedRegistry()
        let codec = RecordCodec(registry: registry.client)
        let id = registry.add(
            AgentTask.avroSchema.replacingOccurrences(of: "\"input\"", with: "\"input\", \"default\": \"\""))
        let resolved = registry.add(
            AgentTask.avroSchema.replacingOccurrences(
                of: "{\"name\": \"agent\", \"type\": \"string\"", with: "{\"name\": \"agent\", \"type\": \"bytes\""))
        let sample = try #require(Sample.all.first { $0.0 is AgentTask.Type }).1
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for index in 0..<500 {
                        let used = index % 2 == 0 ? id : resolved
                        let task = try await codec.decode(AgentTask.self, from: [0, 0, 0, 0, UInt8(used)] + sample)
                        #expect(task.agent == "summarizer")
                    }
                }
            }
            try await group.waitForAll()
        }
        await registry.close()
    }
}
