import Foundation
import Logging
import Orchestra
import Transport

/// The application whose silo benchmark A calls: `TransportBenchmark broker`, `TransportBenchmark silo`.
struct EchoApplication: OrchestraApplication {
    static let grains: [any Grain.Type] = [EchoGrain.self]
}

/// The grain of the benchmark: what the actor of the floor does.
private struct EchoGrain: VolatileGrain {
    static let type: GrainType = "echo"
    var calls = 0

    static let handlers = Handlers<Self> {
        Command(Say.self) { echo, say, _ in
            echo.calls += 1
            return say.text
        }
    }
}

private struct Say: GrainCommand {
    typealias Reply = String
    var text: String
}

/// Calls volatile grains of a silo that runs already, by their typed references.
struct GrainCaller: Caller {
    private static let text = String(repeating: "x", count: TransportBenchmark.payloadLength)

    private let cluster: ClusterClient
    private let running: Task<Void, any Error>

    /// - Throws: when the silo does not answer within 30 s.
    init(port: Int) async throws {
        var logger = Logger(label: "benchmark")
        logger.logLevel = .error
        let client = CallClient(peers: [HostAndPort(host: "127.0.0.1", port: port)], logger: logger)
        cluster = ClusterClient(handler: client)
        running = Task { try await client.run() }
        let end = ContinuousClock.now + .seconds(30)
        // Until all partitions are served.
        for key in TransportBenchmark.keys.prefix(200) {
            while true {
                do {
                    try await say(key)
                    break
                } catch let error as OrchestraError where ContinuousClock.now < end {
                    logger.debug("not yet", metadata: ["error": "\(error)"])
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
        }
    }

    private func say(_ key: String) async throws {
        _ = try await cluster.grain(EchoGrain.self, key: key).send(Say(text: GrainCaller.text), requestID: key)
    }

    func run(outstanding: Int, seconds: Double) async throws -> [Float] {
        try await measure(outstanding: outstanding, seconds: seconds) { try await say($0) }
    }

    /// Calls grains that nobody has called before.
    ///
    /// - Returns: how many a second.
    func activations(count: Int, outstanding: Int) async throws -> Double {
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<outstanding {
                group.addTask {
                    for index in stride(from: worker, to: count, by: outstanding) { try await say("cold-\(index)") }
                }
            }
            try await group.waitForAll()
        }
        return Double(count) / (Double(microseconds(since: start)) / 1e6)
    }

    func close() async throws {
        running.cancel()
        _ = await running.result
    }
}
