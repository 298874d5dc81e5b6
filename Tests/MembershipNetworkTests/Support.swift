import CoreMetrics
import Logging
import Membership
import MembershipNetwork
import OrchestraCore
import ServiceLifecycle
import Synchronization
import Testing
import Transport

/// One node with real sockets, in this process.
final class Node: Sendable {
    let network: PeerNetwork
    let membership: MembershipService
    let log: LogLines
    private let task: Task<Void, any Error>
    private let group: ServiceGroup

    init(
        _ id: String, role: NodeRole = .silo, cluster: String = "test", secret: String? = nil, generation: Int64 = 1,
        seeds: [HostAndPort] = [], names: [HostAndPort] = [], port: Int = 0,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance
    ) throws {
        let log = LogLines()
        self.log = log
        let logger = Logger(label: id) { _ in log.handler }
        network = try PeerNetwork(
            PeerNetworkConfiguration(
                identity: NodeIdentity(clusterName: cluster, nodeID: id, generation: generation, role: role),
                listen: HostAndPort(host: "127.0.0.1", port: port), secret: secret.flatMap { ClusterSecret($0) }),
            takesGossip: true, logger: logger)
        membership = MembershipService(
            network: network, MembershipConfiguration(seeds: seeds, names: names, version: "1.2.3"), metrics: metrics,
            logger: logger)
        var configuration = ServiceGroupConfiguration(services: [network, membership], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(10)
        let group = ServiceGroup(configuration: configuration)
        self.group = group
        task = Task { try await group.run() }
    }

    func address() async throws -> HostAndPort { HostAndPort(host: "127.0.0.1", port: try await network.boundPort()) }

    func stop() async throws {
        await group.triggerGracefulShutdown()
        try await task.value
    }

    /// Ends like a process that is killed: nothing is announced.
    func kill() async {
        task.cancel()
        _ = try? await task.value
    }

    func statuses() async throws -> [String: String] {
        Dictionary(uniqueKeysWithValues: try await membership.members().members.map { ($0.id, $0.status) })
    }
}

/// What was logged, line by line.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    func contains(_ parts: String...) -> Bool {
        all.contains { line in parts.allSatisfy { line.contains($0) } }
    }

    var logger: Logger { Logger(label: "test") { _ in self.handler } }

    var handler: any LogHandler { Handler(log: self) }

    private struct Handler: LogHandler {
        let log: LogLines
        var logLevel = Logger.Level.debug
        var metadata: Logger.Metadata = [:]

        init(log: LogLines) { self.log = log }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = (event.metadata ?? [:]).map { "\($0)=\($1)" }.sorted().joined(separator: " ")
            log.lines.withLock { $0.append("\(event.level) \(event.message) \(fields)") }
        }
    }
}

struct Impatience: Error, CustomStringConvertible {
    let description: String
}

/// Waits until a condition holds.
func eventually(
    _ what: String, within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw Impatience(description: "\(what) not within \(limit)") }
        try await Task.sleep(for: .milliseconds(10))
    }
}
