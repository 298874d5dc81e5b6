import OrchestraCore
import Synchronization
import Transport

/// Chooses a silo for each call: any to which there is a connection, by chance.
final class Router: Sendable {
    private let peers: [HostAndPort]
    private let client = Mutex<CallClient?>(nil)

    init(peers: [HostAndPort]) { self.peers = peers }

    func use(_ client: CallClient) { self.client.withLock { $0 = client } }

    private var connected: [HostAndPort] {
        let status = client.withLock { $0 }?.status ?? [:]
        return status.compactMap { peer, status in
            if case .connected = status { peer } else { nil }
        }
    }

    var isConnected: Bool { !connected.isEmpty }

    func choose() -> HostAndPort? { connected.randomElement() ?? peers.randomElement() }
}
