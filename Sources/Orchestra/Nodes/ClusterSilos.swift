import Membership
import MembershipNetwork
import OrchestraCore
import Placement
import ServiceLifecycle
import Silo
import Synchronization
import Transport

/// The silos of the cluster as a node reaches them: where they are, by the membership's view, and which of them most
/// likely owns a grain.
///
/// A call goes straight to the owner if the node's view is right, and otherwise to a silo that knows better. It is tried
/// again within its deadline, under the same request id, so that callers see nothing of a partition that moves or a silo
/// that dies.
///
/// When the last silo has gone, its address is kept: it is where the next one will most likely be, and calls wait for
/// it within their deadlines.
final class ClusterSilos: Service, SiloNetwork, GrainCallHandler {
    private struct State {
        var addresses: [String: HostAndPort] = [:]
        var placement = Placement.empty
        /// Where to ask before there is a view.
        var configured: [HostAndPort]
        var client: CallClient?
        var onView: @Sendable (SiloView) -> Void = { _ in }

        var known: [HostAndPort] { addresses.isEmpty ? configured : Array(addresses.values) }
    }

    private let nodeID: String
    private let membership: MembershipService
    private let partitioner: Partitioner
    private let state: Mutex<State>

    /// - Parameters:
    ///   - configured: silos to ask before there is a view.
    /// - Throws: ``OrchestraError`` with `badConfiguration` for a partition count that cannot be.
    init(
        nodeID: String, membership: MembershipService, configured: [HostAndPort] = [], partitionCount: Int32
    ) throws(OrchestraError) {
        self.nodeID = nodeID
        self.membership = membership
        partitioner = try Partitioner(partitionCount: partitionCount)
        state = Mutex(State(configured: configured))
    }

    /// Sets what carries the calls. Before that, none can be made.
    func use(_ client: CallClient) { state.withLock { $0.client = client } }

    /// Sets what is told each view.
    func onView(_ body: @escaping @Sendable (SiloView) -> Void) { state.withLock { $0.onView = body } }

    /// Where the silos are that are known now.
    var addresses: [HostAndPort] { state.withLock { $0.known } }

    // MARK: Views

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await view in self.membership.views { await self.follow(view) }
        }
        // A service that returns ends its group.
        try? await gracefulShutdown()
    }

    private func follow(_ view: MembershipView) async {
        let silos = view.silos.map { silo in
            SiloView.Silo(
                id: silo.id.name, generation: Int64(clamping: silo.generation), weight: UInt32(silo.weight))
        }
        let others = view.silos.filter { $0.id.name != nodeID }
        let addresses = Dictionary(
            others.map { ($0.id.name, HostAndPort($0.address)) }, uniquingKeysWith: { first, _ in first })
        let candidates = silos.map { PlacementCandidate(id: $0.id, weight: $0.weight) }
        let placement = Placement(partitionCount: partitioner.partitionCount, candidates: candidates)
        let (gone, client, tell) = state.withLock { state in
            let before = state.known
            if !addresses.isEmpty || state.addresses.isEmpty { state.placement = placement }
            if !addresses.isEmpty { state.addresses = addresses }
            let now = state.known
            return (before.filter { !now.contains($0) }, state.client, state.onView)
        }
        tell(SiloView(version: view.version, silos: silos))
        guard let client else { return }
        for address in addresses.values { client.connect(address) }
        for address in gone { await client.forget(address) }
    }

    // MARK: Calls

    /// Carries a call from one silo to another; once, and not at all while there is no connection.
    func send(_ request: GrainCallRequest, to silo: String) async throws(OrchestraError) -> GrainCallReply {
        let (address, client) = state.withLock { ($0.addresses[silo], $0.client) }
        guard let address, let client else {
            throw OrchestraError(.unavailable, "silo \(silo) is not known", nextStep: "try again in a moment")
        }
        if case .disconnected(let reason?) = client.status(of: address) {
            throw OrchestraError(
                .unavailable, "no connection to silo \(silo) at \(address): \(reason)",
                nextStep: "try again in a moment")
        }
        return try await client.handle(request, at: address)
    }

    /// Calls a grain, wherever it is.
    ///
    /// - Throws: ``OrchestraError``: what the grain throws; after the deadline, what stood in the way at last;
    ///   `outcomeUnknown` if a command may have been committed.
    func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        let deadline = ContinuousClock.now + min(request.timeLeft, .seconds(86_400))
        var request = request
        var unknown: OrchestraError?
        var hasFailed = false
        var longest = Duration.milliseconds(20)
        while true {
            let obstacle: OrchestraError
            do throws(OrchestraError) {
                return try await attempt(request, avoidsOwner: hasFailed)
            } catch {
                guard [.notOwner, .unavailable, .outcomeUnknown].contains(error.code) else {
                    // The deadline of a repetition says nothing of the first attempt.
                    throw error.code == .deadlineExceeded ? unknown ?? error : error
                }
                obstacle = error
            }
            if obstacle.code == .outcomeUnknown { unknown = obstacle }
            hasFailed = obstacle.code == .unavailable && !hasFailed
            // Ever longer, and not all at once: many calls may wait for the same partition.
            let pause = longest * Double.random(in: 0.5...1)
            longest = min(longest * 2, .milliseconds(320))
            request.timeLeft = deadline - .now - pause
            guard request.timeLeft > .zero else { throw unknown ?? obstacle }
            do {
                try await Task.sleep(for: pause)
            } catch {
                throw unknown ?? OrchestraError(.unavailable, "the caller of \(request.grain) went away")
            }
        }
    }

    private func attempt(
        _ request: GrainCallRequest, avoidsOwner: Bool
    ) async throws(OrchestraError) -> GrainCallReply {
        let (client, owner, known) = state.withLock { state in
            let owner = state.placement.owner(of: partitioner.partition(of: request.grain))
            return (state.client, owner.flatMap { state.addresses[$0] }, state.known)
        }
        guard let client, !known.isEmpty else {
            throw OrchestraError(
                .unavailable, "no silo is known for \(request.grain)",
                nextStep: "name one with --seed, or wait until one has joined")
        }
        let connected = known.filter { client.isConnected(to: $0) }
        if let owner, !avoidsOwner, connected.contains(owner) { return try await client.handle(request, at: owner) }
        let others = connected.filter { $0 != owner }
        return try await client.handle(request, at: others.randomElement() ?? owner ?? known[0])
    }

    // MARK: For people

    /// Asks all silos what they know of their partitions.
    ///
    /// - Parameter own: of this node, if it is a silo.
    func placement(own: [PartitionReport] = []) async throws(OrchestraError) -> ClusterPlacement {
        let (addresses, client) = state.withLock { ($0.addresses, $0.client) }
        let question = try SiloMessage.describePartitions.request(timeLeft: .seconds(2))
        let answers = await withTaskGroup(of: (String, [PartitionReport]?).self) { group in
            for (name, address) in addresses {
                group.addTask {
                    guard let reply = try? await client?.handle(question, at: address) else { return (name, nil) }
                    return (name, try? MessageCoding.decode([PartitionReport].self, from: reply.payload))
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = .some($1.1) }
        }
        return ClusterPlacement(
            partitionCount: partitioner.partitionCount,
            reports: own + answers.values.compactMap(\.self).flatMap(\.self),
            silent: answers.filter { $0.value == nil }.map(\.key))
    }

    /// What keeps the node from asking silos; `nil` if one can be asked.
    var obstacle: String? {
        let (client, known) = state.withLock { ($0.client, $0.known) }
        guard let client, !known.isEmpty else { return "no silo is known yet" }
        guard !known.contains(where: { client.isConnected(to: $0) }) else { return nil }
        let reasons = known.map { address -> String in
            guard case .disconnected(let reason?) = client.status(of: address) else { return "\(address)" }
            return "\(address) (\(reason))"
        }
        return "no connection to silo \(reasons.sorted().joined(separator: ", "))"
    }
}
