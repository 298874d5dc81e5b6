import Membership
import MembershipNetwork
import OrchestraCore
import ServiceLifecycle
import Synchronization
import Transport

/// Which silos a gateway asks: those of the membership's view, and before there is one those that are configured.
///
/// When the last silo has gone, its address is kept: it is where the next one will most likely be, and calls wait for
/// it within their deadlines.
final class SiloPeers: Service {
    private let membership: MembershipService
    private let peers: Mutex<[HostAndPort]>
    private let client = Mutex<CallClient?>(nil)

    init(membership: MembershipService, configured: [HostAndPort]) {
        self.membership = membership
        peers = Mutex(configured)
    }

    var current: [HostAndPort] { peers.withLock { $0 } }

    /// The grain's key chooses evenly among the silos.
    var routing: @Sendable (GrainID) -> HostAndPort? {
        { [self] grain in
            let peers = current
            guard peers.count > 1 else { return peers.first }
            return peers[Int(partition(forKey: grain.key.utf8, count: Int32(clamping: peers.count)))]
        }
    }

    /// Connects to the silos as they come, and forgets them as they go.
    func use(_ client: CallClient) { self.client.withLock { $0 = client } }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await view in self.membership.views { await self.follow(view) }
        }
        // A service that returns ends its group.
        try? await gracefulShutdown()
    }

    private func follow(_ view: MembershipView) async {
        let silos = view.silos.map { HostAndPort($0.address) }
        guard !silos.isEmpty else { return }
        let gone = peers.withLock { peers in
            defer { peers = silos }
            return peers.filter { !silos.contains($0) }
        }
        guard let client = client.withLock({ $0 }) else { return }
        for silo in silos { client.connect(silo) }
        for silo in gone { await client.forget(silo) }
    }

    /// What keeps the gateway from asking; `nil` if it can.
    func obstacle(_ client: CallClient) -> String? {
        let status = client.status
        guard !status.isEmpty else { return "no silo is known yet" }
        let missing = status.compactMap { peer, status -> String? in
            guard case .disconnected(let reason) = status else { return nil }
            return "\(peer)\(reason.map { " (\($0))" } ?? "")"
        }
        return missing.isEmpty ? nil : "no connection to silo \(missing.sorted().joined(separator: ", "))"
    }
}
