import CoreMetrics
import Foundation
import Logging
import Membership
import NIOCore
import NIOPosix
import OrchestraCore
import SeededRandom
import Transport

/// Runs one ``Membership``: gives it events with the time, and does what its effects say. The shell to that instance.
///
/// `@unchecked Sendable`: touched on `eventLoop` only, except what is constant.
final class MembershipDriver: @unchecked Sendable {
    /// Legal exits: `running` → `leaving` → `stopped`; `running` → `stopped`.
    private enum Phase { case running, leaving, stopped }

    let eventLoop: any EventLoop
    let joined = Transport.OneShot<Void>()
    let left = Transport.OneShot<Void>()

    private let network: PeerNetwork
    private let seeds: SeedBook
    private let views: LatestValue<MembershipView>
    private let logger: Logger
    private let logLimiter = LogLimiter()
    private let metrics: MembershipMetrics
    private let allocator = ByteBufferAllocator()
    private var membership: Membership
    private var journal: MembershipJournal
    private var random: SeededGenerator
    private var loadMeter = LoadMeter(coreCount: System.coreCount)
    private var phase = Phase.running
    private var timer: Scheduled<Void>?
    private var housekeeping: RepeatedTask?
    /// Where nodes answered that the protocol does not know yet: it speaks to a seed before it has its record.
    private var contacts: [NodeID: NodeAddress] = [:]
    private var lastInput: [NodeID: Moment] = [:]
    private var seedComplaints: [NodeAddress: Moment] = [:]

    init(
        _ membership: Membership, network: PeerNetwork, seeds: SeedBook, views: LatestValue<MembershipView>,
        metrics: any MetricsFactory, logger: Logger
    ) {
        self.membership = membership
        self.metrics = MembershipMetrics(factory: metrics)
        self.network = network
        self.seeds = seeds
        self.views = views
        self.logger = logger
        eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        journal = MembershipJournal(own: membership.id, logger: logger)
        var system = SystemRandomNumberGenerator()
        random = SeededGenerator(seed: system.next())
    }

    private static func now() -> Moment {
        Moment(microseconds: Int64(NIODeadline.now().uptimeNanoseconds / 1000))
    }

    // MARK: - Events

    func start() {
        eventLoop.execute {
            self.step(.start)
            self.housekeeping = self.eventLoop.scheduleRepeatedTask(
                initialDelay: .seconds(1), delay: .seconds(5)
            ) { _ in
                self.updateMetrics()
                self.measureLoad()
            }
        }
    }

    /// Returns once it is handled: whoever feeds inputs waits, so nothing queues up here.
    func handle(_ input: PeerInput) async {
        try? await eventLoop.submit { self.take(input) }.get()
    }

    func setWeight(_ weight: UInt16) {
        eventLoop.execute { self.describe(weight: weight, load: self.membership.description.load) }
    }

    private func describe(weight: UInt16, load: UInt8) {
        step(.describe(weight: weight, load: load, labels: membership.description.labels))
    }

    /// Announces that this node goes; returns when that is told, or after a limit.
    func leave(within limit: TimeAmount) async {
        eventLoop.execute {
            guard case .running = self.phase else { return }
            self.phase = .leaving
            self.step(.leave)
        }
        let giveUp = eventLoop.scheduleTask(in: limit) { self.left.finish(.success(())) }
        try? await left.value()
        giveUp.cancel()
    }

    /// No more effects from here on.
    func stop() async {
        try? await eventLoop.submit {
            self.phase = .stopped
            self.timer?.cancel()
            self.housekeeping?.cancel()
            self.views.finish()
        }.get()
    }

    func members(cluster: String) async -> ClusterMembers {
        await withCheckedContinuation { continuation in
            eventLoop.execute {
                continuation.resume(
                    returning: ClusterMembers(
                        cluster: cluster, membership: self.membership, now: Self.now(), wallClock: .now))
            }
        }
    }

    private func take(_ input: PeerInput) {
        switch input {
        case .message(let bytes, let peer):
            take(bytes, from: peer)
        case .connected(let peer):
            let id = NodeID(peer.identity.nodeID)
            lastInput[id] = Self.now()
            if let address = peer.advertised.flatMap({ NodeAddress($0) }) { remember(id, at: address) }
            step(.connected(id, generation: UInt64(clamping: peer.identity.generation)))
        case .disconnected(let peer, let end):
            let id = NodeID(peer.identity.nodeID)
            lastInput[id] = nil
            // What this node closed itself, as unused or replaced, is no sign of anything.
            if case .closed = end { return }
            step(.disconnected(id))
        case .dialFailed(_, let expecting, _, _):
            if let expecting { step(.disconnected(NodeID(expecting))) }
        }
    }

    private func take(_ bytes: ByteBuffer, from peer: RemoteNode) {
        let id = NodeID(peer.identity.nodeID)
        metrics.received(bytes: bytes.readableBytes)
        let message: Message
        do {
            message = try bytes.withUnsafeReadableBytes { buffer throws(CodecError) in
                try MessageCodec.decode(buffer)
            }
        } catch {
            metrics.receivedMalformed()
            if let suppressed = logLimiter.admit(id.name) {
                logger.warning(
                    "a peer sent what is no membership message; its connection is closed",
                    metadata: ["peer": "\(peer)", "error": "\(error)", "suppressed": "\(suppressed)"])
            }
            return network.gossip.disconnect(id.name)
        }
        lastInput[id] = Self.now()
        journal.willReceive(message, from: id)
        step(.received(message, from: id))
    }

    private func step(_ event: MembershipEvent) {
        if case .stopped = phase { return }
        var effects: [MembershipEffect] = []
        membership.step(event, now: Self.now(), random: &random, effects: &effects)
        for effect in effects { perform(effect) }
        journal.didStep()
    }

    // MARK: - Effects

    private func perform(_ effect: MembershipEffect) {
        switch effect {
        case .send(let message, let peer, let address): send(message, to: peer, at: address)
        case .dial(let target, let address): dial(target, at: address)
        case .keepConnections: break  // Neighbours are talked to; what is not used closes by itself.
        case .wake(let moment): wake(at: moment)
        case .publish: publish()
        case .changed(let id, let record):
            journal.changed(id, record)
            if record == nil { lastInput[id] = nil }
        case .joined:
            logger.info("joined the cluster", metadata: ["members": "\(membership.table.liveCount)"])
            joined.finish(.success(()))
        case .generationChanged(let generation):
            logger.warning(
                "the cluster has ended this node's generation: it goes on under the next",
                metadata: ["generation": "\(generation)"])
            network.setGeneration(Int64(clamping: generation))
        case .left:
            logger.info("told the cluster that this node leaves")
            left.finish(.success(()))
        case .observed(let observation):
            metrics.observed(observation)
            journal.observed(observation)
        }
    }

    private func send(_ message: Message, to peer: NodeID, at address: NodeAddress?) {
        let bytes = allocator.buffer(bytes: MessageCodec.encode(message))
        metrics.sent(message, bytes: bytes.readableBytes)
        let target = Gossip.Target(nodeID: peer.name, address: (address ?? contacts[peer]).map { HostAndPort($0) })
        network.gossip.send(bytes, to: target, priority: message.isBulk ? .bulk : .urgent)
    }

    private func wake(at moment: Moment) {
        timer?.cancel()
        timer = nil
        guard moment < .distantFuture else { return }
        let deadline = NIODeadline.uptimeNanoseconds(UInt64(max(0, moment.microseconds)) * 1000)
        timer = eventLoop.scheduleTask(deadline: deadline) { self.step(.wake) }
    }

    private func publish() {
        let view = membership.view
        views.set(view)
        logger.info(
            "silos",
            metadata: ["view": "\(view.version)", "silos": "\(view.silos.map(\.id.name).joined(separator: " "))"])
    }

    private func updateMetrics() {
        metrics.update(membership, counts: journal.counts, dropped: network.gossip.dropped)
    }

    /// Without effect on a node that leaves: its last word has been said.
    private func measureLoad() {
        guard let load = loadMeter.sample(processorTime: LoadMeter.processorTime(), at: Self.now()),
            case .running = phase
        else { return }
        describe(weight: membership.description.weight, load: load)
    }

    private func remember(_ id: NodeID, at address: NodeAddress) {
        if contacts.count >= 256 { contacts = [:] }
        contacts[id] = address
    }

    // MARK: - Dials

    private func dial(_ target: DialTarget, at address: NodeAddress) {
        let timeout = membership.settings.probeTimeout
        // Nobody awaits it: it ends by its own time-out, and after `stop()` its outcome is ignored.
        Task { [self] in
            switch target {
            case .member(let id):
                let result = await network.probe(HostAndPort(address), expecting: id.name, timeout: timeout)
                eventLoop.execute { self.dialed(target, at: address, result) }
            case .seed(let seed):
                let result = await dialSeed(seed)
                eventLoop.execute { self.dialed(target, at: address, result) }
            }
        }
    }

    /// A name may stand for several nodes: any of them will do.
    private func dialSeed(_ seed: NodeAddress) async -> Result<RemoteNode, ConnectionEnd> {
        var result = Result<RemoteNode, ConnectionEnd>.failure(
            .unreachable("\(seed.host) has no address but this node's"))
        for candidate in await seeds.candidates(for: seed).prefix(3) {
            result = await network.probe(candidate, timeout: .seconds(2))
            if case .success = result { break }
        }
        return result
    }

    private func dialed(_ target: DialTarget, at address: NodeAddress, _ result: Result<RemoteNode, ConnectionEnd>) {
        switch result {
        case .success(let peer):
            let id = NodeID(peer.identity.nodeID)
            remember(id, at: peer.advertised.flatMap { NodeAddress($0) } ?? address)
            replaceSilentConnection(to: id)
            step(.dialed(target, .answered(id, generation: UInt64(clamping: peer.identity.generation))))
        case .failure(let end):
            if case .seed = target { complain(about: address, end) }
            step(.dialed(target, DialOutcome(end)))
        }
    }

    /// The node answers a fresh dial, but its connection has been silent for two time-outs: that one is broken.
    private func replaceSilentConnection(to id: NodeID) {
        guard let last = lastInput[id], Self.now() - last > membership.settings.probeTimeout.scaled(by: 2) else {
            return
        }
        lastInput[id] = nil
        network.gossip.disconnect(id.name)
    }

    /// At most twice a minute for each seed.
    private func complain(about seed: NodeAddress, _ end: ConnectionEnd) {
        let now = Self.now()
        if let last = seedComplaints[seed], now - last < .seconds(30) { return }
        seedComplaints[seed] = now
        logger.notice("cannot join through a seed; trying again", metadata: ["seed": "\(seed)", "reason": "\(end)"])
    }
}

extension DialOutcome {
    init(_ end: ConnectionEnd) {
        switch end {
        case .refused: self = .refused
        case .failed: self = .rejected
        case .timedOut, .unreachable, .lost, .closed: self = .timedOut
        }
    }
}
