import EventLog
import Foundation
import LocalBroker
import Logging
import Testing

/// A real broker in this process, with a folder of its own, that can be stopped and started again at its port.
actor TestBroker {
    private let directory: URL
    private var running: Task<Void, any Error>?
    private var port = 0
    nonisolated let logger: Logger

    private init(logger: Logger) {
        directory = FileManager.default.temporaryDirectory.appending(path: "eventlog-\(UUID().uuidString)")
        self.logger = logger
    }

    /// Runs `body` with a broker that is stopped and removed afterwards.
    static func with<Outcome: Sendable>(
        logger: Logger = quiet, _ body: (TestBroker) async throws -> Outcome
    ) async throws -> Outcome {
        let broker = TestBroker(logger: logger)
        try await broker.start()
        do {
            let outcome = try await body(broker)
            try await broker.remove()
            return outcome
        } catch {
            try? await broker.remove()
            throw error
        }
    }

    func start() async throws {
        let configuration = LocalBrokerConfiguration(dataDirectory: directory.path(), port: port)
        let broker = try LocalBroker(configuration, logger: logger)
        running = Task { try await broker.run() }
        port = try await broker.boundPort()
    }

    func stop() async throws {
        running?.cancel()
        try await running?.value
        running = nil
    }

    private func remove() async throws {
        try await stop()
        try FileManager.default.removeItem(at: directory)
    }

    func configuration(_ clientID: String = "test", properties: [String: String] = [:]) -> KafkaConfiguration {
        KafkaConfiguration(bootstrapServers: "127.0.0.1:\(port)", clientID: clientID, properties: properties)
    }

    func create(_ topics: TopicSpecification...) async throws {
        let admin = try Admin(configuration("admin"), logger: logger)
        try await admin.create(topics, timeout: .seconds(10))
        await admin.close()
    }
}
