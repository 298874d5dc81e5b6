package import EventLog
package import Records

/// How a rival for a partition is got out of the way. Part of the protocol that ``PartitionClaims`` describes.
package protocol Succession: Sendable {
    /// Tries to make sure that a silo commits nothing more to a partition under this claim.
    ///
    /// - Returns: `nil` if it cannot be made sure now: try again in a moment.
    /// - Throws: ``EventLogError`` if Kafka does not answer.
    func clear(_ rival: PartitionClaim, of partition: Int32) async throws(EventLogError) -> Clearance?
}

/// Why a rival commits nothing more.
package enum Clearance: Sendable, Hashable {
    /// It said so.
    case released
    /// Its producer is fenced. Not knowing that, it may answer queries until this instant.
    case fenced(answersUntil: ContinuousClock.Instant)
}
