import EventLog
import Logging
import OrchestraCore
import Records
import Synchronization

/// Clears rivals in a cluster: asks those that live, fences those that are gone.
///
/// Gossip alone takes nothing from anybody. A silo is fenced only when this node gives it no partitions any more (it is
/// not in the view, or Kafka does not hear of it) *and* Kafka has not heard of it for ``SiloLiveness/silence``. So when
/// gossip is split and both sides still reach Kafka, everybody keeps what they have.
final class SiloSuccession: Succession {
    private static let patience = Duration.seconds(5)

    private let silo: String
    private let heartbeats: Heartbeats
    private let network: (any SiloNetwork)?
    private let logger: Logger
    private let standing: @Sendable (String) -> Standing
    private let makeProducer: @Sendable (String) throws(EventLogError) -> any TransactionSink
    private let fences = Mutex<[String: CoalescedRead<Void>]>([:])

    /// What this node thinks of another silo.
    enum Standing: Sendable {
        /// It is in the view, and Kafka hears of it.
        case present
        /// It is in the view, but Kafka does not hear of it.
        case withoutKafka
        case gone

        var isReachable: Bool { if case .gone = self { false } else { true } }
    }

    /// - Parameters:
    ///   - network: asks other silos; `nil` for a silo that is alone.
    ///   - standing: what is thought of a silo now.
    ///   - makeProducer: makes a producer with this transactional id.
    init(
        _ configuration: SiloConfiguration, heartbeats: Heartbeats, network: (any SiloNetwork)?, logger: Logger,
        standing: @escaping @Sendable (String) -> Standing,
        makeProducer: @escaping @Sendable (String) throws(EventLogError) -> any TransactionSink
    ) {
        silo = configuration.nodeID
        self.heartbeats = heartbeats
        self.network = network
        self.logger = logger
        self.standing = standing
        self.makeProducer = makeProducer
    }

    func clear(_ rival: PartitionClaim, of partition: Int32) async throws(EventLogError) -> Clearance? {
        let standing = standing(rival.silo)
        if standing.isReachable, await asks(rival, toRelease: partition) { return .released }
        guard standing != .present, heartbeats.liveness.isSilent(rival.silo) else { return nil }
        // What is known may be a heartbeat old; the decision is made on what Kafka has heard until now.
        guard await heartbeats.confirm(), heartbeats.liveness.isSilent(rival.silo) else { return nil }
        try await fence(rival)
        // The last heartbeat may have been committed just before.
        guard await heartbeats.confirm() else { return nil }
        let last = heartbeats.liveness.lastHeard(of: rival.silo)
        return .fenced(answersUntil: last + ServingLease.duration + ServingLease.margin)
    }

    private func asks(_ rival: PartitionClaim, toRelease partition: Int32) async -> Bool {
        guard let network else { return false }
        let question = ReleaseRequest(partition: partition, nominee: silo, generation: rival.generation)
        do {
            let reply = try await network.send(
                SiloMessage.release(question).request(timeLeft: SiloSuccession.patience), to: rival.silo)
            return try ReleaseReply(reply).isReleased
        } catch {
            logger.debug(
                "a silo was asked to release a partition and did not answer",
                metadata: ["silo": "\(rival.silo)", "partition": "\(partition)", "error": "\(error)"])
            return false
        }
    }

    /// Fences a silo; all partitions that want that now are served by one or two initialisations.
    private func fence(_ rival: PartitionClaim) async throws(EventLogError) {
        let id = rival.transactionalId
        let fence = fences.withLock { fences in
            if let fence = fences[id] { return fence }
            let fence = CoalescedRead<Void> { [makeProducer] in
                let producer = try makeProducer(id)
                do throws(EventLogError) {
                    try await producer.initialize(timeout: .seconds(10))
                } catch {
                    await producer.close()
                    throw error
                }
                await producer.close()
            }
            fences[id] = fence
            return fence
        }
        do {
            try await fence.value()
        } catch {
            throw error as? EventLogError ?? .closed("cancelled while fencing \(rival.silo)")
        }
    }
}
