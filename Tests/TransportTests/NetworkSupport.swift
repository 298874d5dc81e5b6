import Certificates
import Foundation
import Logging
import NIOCore
import OrchestraCore
import Synchronization
import Testing
import Transport

extension TLSFiles {
    init(_ files: Certificates.Files) {
        self.init(certificate: files.certificate, key: files.key, trustRoots: files.trustRoots)
    }
}

/// Keeps what was logged, for tests of what people read.
struct LogCollector: LogHandler {
    final class Lines: Sendable {
        private let lines = Mutex<[String]>([])

        func append(_ line: String) { lines.withLock { $0.append(line) } }

        func count(_ part: String) -> Int { lines.withLock { $0.count { $0.contains(part) } } }

        var all: [String] { lines.withLock { $0 } }
    }

    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let details = (event.metadata ?? [:]).map { "\($0)=\($1)" }.sorted().joined(separator: " ")
        lines.append("\(event.level) \(event.message) \(details)")
    }
}

/// A node of a test with what it received and logged.
final class TestNode: Sendable {
    let network: PeerNetwork
    let log = LogCollector.Lines()
    private let seen = Mutex<[PeerInput]>([])
    private let port: Atomic<Int> = Atomic(0)
    private let reader = Mutex<Task<Void, Never>?>(nil)

    init(
        _ nodeID: String, cluster: String = "orchestra", generation: Int64 = 1, secret: String? = nil,
        tls: TLSFiles? = nil, listens: Bool = true, advertise: HostAndPort? = nil,
        limits: TransportLimits = TransportLimits()
    ) throws {
        let lines = log
        let logger = Logger(label: nodeID) { _ in LogCollector(lines: lines) }
        network = try PeerNetwork(
            PeerNetworkConfiguration(
                identity: NodeIdentity(clusterName: cluster, nodeID: nodeID, generation: generation, role: .silo),
                listen: listens ? HostAndPort(host: "127.0.0.1", port: 0) : nil, advertise: advertise,
                secret: secret.flatMap { ClusterSecret($0) }, tls: tls, limits: limits),
            takesGossip: true, logger: logger)
    }

    var address: HostAndPort { HostAndPort(host: "127.0.0.1", port: port.load(ordering: .relaxed)) }
    var target: Gossip.Target { Gossip.Target(nodeID: network.identity.nodeID, address: address) }
    var inputs: [PeerInput] { seen.withLock { $0 } }

    var messages: [String] {
        inputs.compactMap { input in
            guard case .message(let bytes, let peer) = input else { return nil }
            return "\(peer.identity.nodeID): \(String(buffer: bytes))"
        }
    }

    var connected: [String] {
        inputs.compactMap { if case .connected(let peer) = $0 { peer.identity.nodeID } else { nil } }
    }

    var disconnected: [String] {
        inputs.compactMap { if case .disconnected(let peer, _) = $0 { peer.identity.nodeID } else { nil } }
    }

    var failures: [ConnectionEnd] {
        inputs.compactMap { if case .dialFailed(_, _, let end, _) = $0 { end } else { nil } }
    }

    func start(reads: Bool = true) async throws {
        try await network.start()
        port.store(try await network.boundPort(), ordering: .relaxed)
        if reads { startReading() }
    }

    func startReading() {
        let task = Task {
            for await input in network.gossip.inputs { seen.withLock { $0.append(input) } }
        }
        reader.withLock { $0 = task }
    }

    func stop() async {
        await network.shutDown()
        let task = reader.withLock { $0 }
        await task?.value
    }

    func send(_ text: String, to other: TestNode, _ priority: FramePriority = .urgent) {
        network.gossip.send(ByteBuffer(string: text), to: other.target, priority: priority)
    }
}

/// Runs nodes for as long as `body` takes.
func withNodes(_ nodes: [TestNode], _ body: () async throws -> Void) async throws {
    for node in nodes { try await node.start() }
    let result: Result<Void, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    for node in nodes { await node.stop() }
    try result.get()
}
