import Logging
import Membership
import OrchestraCore
import Transport

/// Which seeds there are, and which of them are this node itself.
struct SeedBook: Sendable {
    let configuration: MembershipConfiguration
    /// Every address under which this node reaches itself; its own name resolved.
    let own: Set<HostAndPort>
    let advertised: HostAndPort

    init(_ configuration: MembershipConfiguration, advertised: HostAndPort) async {
        self.configuration = configuration
        self.advertised = advertised
        let resolved = (try? await SeedResolver.resolve(advertised)) ?? []
        own = Set(resolved + [advertised])
    }

    /// What the protocol is given. Waits until every name of ``MembershipConfiguration/names`` has an address: before
    /// that this node cannot tell whether it is alone.
    ///
    /// - Throws: `CancellationError`.
    func seeds(logger: Logger) async throws -> [NodeAddress] {
        var seeds = (configuration.seeds + configuration.names).compactMap { NodeAddress($0) }
        var isSeed = false
        for seed in configuration.seeds {
            if own.contains(seed) { isSeed = true }
            // A static seed that cannot be resolved now may well be so later: it is looked up again when dialed.
            if let found = try? await SeedResolver.resolve(seed), !own.isDisjoint(with: found) { isSeed = true }
        }
        for name in configuration.names {
            if try await !own.isDisjoint(with: addresses(of: name, logger: logger)) { isSeed = true }
        }
        if isSeed, let address = NodeAddress(advertised), !seeds.contains(address) { seeds.append(address) }
        return seeds
    }

    private func addresses(of name: HostAndPort, logger: Logger) async throws -> [HostAndPort] {
        var pause = Duration.milliseconds(250)
        while true {
            do {
                return try await SeedResolver.resolve(name)
            } catch {
                logger.notice(
                    "waiting for a name to join through", metadata: ["name": "\(name)", "reason": "\(error)"])
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .seconds(10))
        }
    }

    /// - Returns: what to dial for a seed, in random order, without this node itself.
    func candidates(for seed: NodeAddress) async -> [HostAndPort] {
        let found = (try? await SeedResolver.resolve(HostAndPort(seed))) ?? []
        return found.filter { !own.contains($0) }.shuffled()
    }
}
