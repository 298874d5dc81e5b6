import Avro
import EventLog
import Foundation
import HTTPClient
import LocalBroker
import LocalRegistry
import OrchestraCore
import Records
import ServiceLifecycle
import Silo
import Testing
import Transport

@testable import Gateway

/// The gateway on the real things: broker, registry, silo, and the calls between them over TCP. The agent is the test.
@Suite(.serialized) struct EndToEndTests {
    @Test func aWorkflowGoesThroughBrokerSiloAndBack() async throws {
        try await withCluster { cluster in
            let accepted = try await trigger(cluster.port, #"{"workflow":"summarize","input":"hello \u0000 🎻"}"#)
            #expect(accepted.status == 202, "\(accepted.text)")
            let id = try #require(accepted.member("workflowId"))
            let running = try await get(cluster.port, "/v1/workflows/\(id)")
            #expect(running.status == 200 && running.member("status") == "running", "\(running.text)")
            async let polled = get(cluster.port, "/v1/workflows/\(id)?wait=30s")
            try await cluster.answerAsAgent(id, output: "a \"summary\"")
            let done = try await polled
            #expect(done.member("status") == "completed", "\(done.text)")
            #expect(done.text.contains(#""output":"a \"summary\"""#))
        }
    }

    @Test func keysCancelsAndUnknownIDsHoldOnTheRealOwner() async throws {
        try await withCluster { cluster in
            let body = #"{"workflow":"summarize","input":"one"}"#
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<10 { group.addTask { try await trigger(cluster.port, body, key: "k") } }
                return try await group.reduce(into: [Answer]()) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0.status == 202 })
            let id = try #require(answers.first?.member("workflowId"))
            #expect(Set(answers.map { $0.member("workflowId") }) == [id])
            let other = try await trigger(cluster.port, #"{"workflow":"summarize","input":"two"}"#, key: "k")
            #expect(other.status == 422, "\(other.text)")
            let unknown = try await get(cluster.port, "/v1/workflows/none")
            #expect(unknown.status == 404, "\(unknown.text)")
            for _ in 0..<2 {
                let cancelled = try await get(cluster.port, "/v1/workflows/\(id)", method: "DELETE")
                #expect(cancelled.status == 200 && cancelled.member("status") == "cancelled", "\(cancelled.text)")
            }
            let ready = try await get(cluster.port, "/health/ready")
            #expect(ready.status == 200, "\(ready.text)")
        }
    }

    /// Of two bodies under one key at once, the real owner decides which counts.
    @Test func racingBodiesUnderOneKey() async throws {
        try await withCluster { cluster in
            for round in 0..<5 {
                let answers = try await withThrowingTaskGroup(of: (String, Int).self) { group in
                    for input in ["a", "b", "a", "b"] {
                        group.addTask {
                            let body = #"{"workflow":"summarize","input":"\#(input)"}"#
                            return (input, try await trigger(cluster.port, body, key: "race-\(round)").status)
                        }
                    }
                    return try await group.reduce(into: [(String, Int)]()) { $0.append($1) }
                }
                #expect(Set(answers.filter { $0.1 == 202 }.map(\.0)).count == 1, "\(answers)")
                #expect(answers.allSatisfy { $0.1 == 202 || $0.1 == 422 }, "\(answers)")
            }
        }
    }

    struct Cluster: Sendable {
        var port: Int
        var producer: Producer
        var codec: RecordCodec

        /// What a worker would publish.
        func answerAsAgent(_ workflowID: String, output: String) async throws {
            try await codec.register(AgentResult.self, subject: "\(Topics.agentResults)-value")
            let now = Timestamp(millisecondsSinceEpoch: 1_795_355_400_000)
            let result = AgentResult(
                taskId: "\(workflowID)/0", workflowId: workflowID, agent: "summarizer", worker: "test",
                outcome: .succeeded, output: output, startedAt: now, finishedAt: now)
            let key = Array(workflowID.utf8)
            _ = try await producer.send(
                ProducerRecord(
                    topic: Topics.agentResults, partition: partition(forKey: key, count: 4), key: key,
                    value: codec.encode(result)))
        }
    }

    private func withCluster(_ body: (Cluster) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "gateway-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let broker = try LocalBroker(LocalBrokerConfiguration(dataDirectory: directory.path), logger: quiet)
        let registry = try LocalRegistry(database: broker.database, host: "127.0.0.1", port: 0, logger: quiet)
        try await whileRunning(broker) {
            try await whileRunning(registry) {
                let kafka = KafkaConfiguration(
                    bootstrapServers: "127.0.0.1:\(try await broker.boundPort())", clientID: "test")
                let http = HTTPClient()
                let codec = RecordCodec(
                    registry: SchemaRegistryClient(
                        .init(url: "http://127.0.0.1:\(try await registry.boundPort())"), http: http))
                try await withNodes(kafka, codec, body)
                await http.close()
            }
        }
    }

    private func withNodes(
        _ kafka: KafkaConfiguration, _ codec: RecordCodec, _ body: (Cluster) async throws -> Void
    ) async throws {
        var configuration = SiloConfiguration(nodeID: "silo-1", generation: 1, kafka: kafka)
        configuration.partitionCount = 4
        let silo = try Silo(configuration, codec: codec, logger: quiet)
        let server = CallServer(host: "127.0.0.1", port: 0, handler: silo, logger: quiet)
        let producer = try Producer(kafka, logger: quiet)
        let siloGroup = ServiceGroup(services: [silo, server], logger: quiet)
        let silos = Task { try await siloGroup.run() }
        let calls = CallClient(
            peers: [HostAndPort(host: "127.0.0.1", port: try await server.boundPort())], logger: quiet)
        let gateway = Gateway(
            GatewayConfiguration(port: 0, nodeID: "gateway-1", partitionCount: 4, kafka: kafka), producer: producer,
            codec: codec, calls: calls, workflows: [.summarize], logger: quiet)
        let gatewayGroup = ServiceGroup(services: [calls, gateway], logger: quiet)
        let gateways = Task { try await gatewayGroup.run() }
        try await eventually("the gateway is ready", within: .seconds(60)) { gateway.isReady && silo.isReady }
        let result: Result<Void, any Error>
        do {
            result = .success(
                try await body(Cluster(port: try await gateway.boundPort(), producer: producer, codec: codec)))
        } catch {
            result = .failure(error)
        }
        await gatewayGroup.triggerGracefulShutdown()
        _ = try await gateways.value
        await siloGroup.triggerGracefulShutdown()
        _ = try await silos.value
        await producer.close(timeout: .seconds(5))
        try result.get()
    }
}
