import Logging
import OrchestraCore
import Synchronization
import Transport

/// The transport of this project, with the same actors behind it as the floor.
enum Ours {
    static func serve() async throws {
        let server = CallServer(host: "127.0.0.1", port: 0, handler: KeyActors(), logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            await ServerProcess.announce(port: try await server.boundPort())
            group.cancelAll()
        }
    }

    static func connect(port: Int) async throws -> any Caller { OurCaller(port: port) }

    fileprivate static var logger: Logger {
        var logger = Logger(label: "benchmark")
        logger.logLevel = .error
        return logger
    }
}

private final class KeyActors: GrainCallHandler {
    private let actors = Mutex<[String: KeyActor]>([:])

    func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        let actor = actors.withLock { actors in
            if let actor = actors[request.grain.key] { return actor }
            let actor = KeyActor()
            actors[request.grain.key] = actor
            return actor
        }
        return GrainCallReply(version: 1, payload: await actor.call(request.payload))
    }
}

private struct OurCaller: Caller {
    private let client: CallClient
    private let running: Task<Void, any Error>

    init(port: Int) {
        let client = CallClient(peers: [HostAndPort(host: "127.0.0.1", port: port)], logger: Ours.logger)
        self.client = client
        running = Task { try await client.run() }
    }

    func run(outstanding: Int, seconds: Double) async throws -> [Float] {
        let type: GrainType = "echo"
        return try await measure(outstanding: outstanding, seconds: seconds) { [client] key in
            let request = GrainCallRequest(
                requestID: key, grain: try GrainID(type: type, key: key), kind: .query, method: "echo",
                payload: TransportBenchmark.payload, timeLeft: .seconds(30))
            _ = try await client.handle(request)
        }
    }

    func close() async throws {
        running.cancel()
        _ = await running.result
    }
}
