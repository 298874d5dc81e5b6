/// Which silos Kafka has heard of lately; a value, without I/O.
///
/// Gossip is not Kafka: a silo may be cut off from its peers and still commit, or gossip and have lost Kafka. So every
/// silo commits a heartbeat to one topic, all read it, and what counts is when a heartbeat *arrives*, by the reader's own
/// clock. A reader that lags must not take that for silence: it knows how far its knowledge reaches by its own
/// heartbeats, which come back in the same topic. Everything that was appended before one of them has been read.
package struct SiloLiveness: Sendable {
    /// Nobody takes over from a silo before Kafka has not heard of it for this long.
    package static let silence = Duration.seconds(3)
    /// A silo that gossips but is not heard of for this long gets no partitions. Longer than ``silence``, so that a
    /// short pause moves nothing.
    package static let absence = Duration.seconds(5)

    private var arrivals: [String: ContinuousClock.Instant] = [:]
    /// Before this, nothing is known.
    private let start: ContinuousClock.Instant
    /// What Kafka had heard by this instant is known.
    package private(set) var knownUntil: ContinuousClock.Instant?

    /// - Parameter start: when reading began.
    package init(start: ContinuousClock.Instant) {
        self.start = start
    }

    /// A heartbeat has been read.
    package mutating func hear(_ silo: String, at arrival: ContinuousClock.Instant) { arrivals[silo] = arrival }

    /// A heartbeat of one's own has been read that was sent at this instant.
    package mutating func hearOwn(sentAt: ContinuousClock.Instant) {
        knownUntil = max(knownUntil ?? sentAt, sentAt)
    }

    /// When the silo's last heartbeat arrived; the start of reading if there was none since.
    package func lastHeard(of silo: String) -> ContinuousClock.Instant { arrivals[silo] ?? start }

    /// Whether Kafka has certainly not heard of the silo for ``silence``.
    package func isSilent(_ silo: String) -> Bool { isUnheard(silo, for: SiloLiveness.silence) }

    /// Whether the silo can be given partitions.
    ///
    /// - Parameter wasPresent: whether it could until now. A silo stays present when nothing is known, so that everybody
    ///   keeps still while Kafka is away.
    package func isPresent(_ silo: String, wasPresent: Bool) -> Bool {
        guard arrivals[silo] != nil else { return false }
        return !isUnheard(silo, for: SiloLiveness.absence)
            && (wasPresent || !isUnheard(silo, for: SiloLiveness.silence))
    }

    private func isUnheard(_ silo: String, for duration: Duration) -> Bool {
        guard let knownUntil else { return false }
        return knownUntil - lastHeard(of: silo) >= duration
    }
}
