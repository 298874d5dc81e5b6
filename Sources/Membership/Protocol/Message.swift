/// What one node tells another over their connection.
///
/// Every message carries the sender's generation (a node may take a new one without a new connection), the digest of
/// its member table, and news. So each ping is also gossip, and tells whether synchronisation is due.
package struct Message: Sendable, Equatable {
    package var generation: UInt64
    package var digest: UInt64
    package var news: [News]
    package var body: Body

    package init(generation: UInt64, digest: UInt64, news: [News], body: Body) {
        self.generation = generation
        self.digest = digest
        self.news = news
        self.body = body
    }

    package enum Body: Sendable, Equatable {
        /// Answered by `ack` with the same sequence number.
        case ping(sequence: UInt32)
        case ack(sequence: UInt32)
        /// Asks a helper to ping the subject over the helper's own connection.
        case pingRequest(sequence: UInt32, subject: NodeID)
        /// A helper's answer: whether the subject has answered it in time.
        case pingReport(sequence: UInt32, answered: Bool)
        /// News only.
        case gossip
        /// Begins a synchronisation, and a join: "so many members make up my digest". The sender's own record is in
        /// the news.
        case syncOffer(count: UInt32)
        /// The digests of all buckets, or none if the tables are equal.
        case syncDigests(count: UInt32, digests: [UInt32])
        /// The sender's records in these buckets.
        case syncExchange(buckets: [UInt8], records: [MemberRecord])
        /// What the receiver of an exchange knows better in these buckets.
        case syncReply(buckets: [UInt8], records: [MemberRecord])
        /// The receiver's generation (this or a later one) has ended in the sender's memory: take a higher one.
        case refused(generation: UInt64)
    }
}

/// A record on its way through the cluster, and for a suspicion who vouches for it.
package struct News: Sendable, Equatable {
    package var record: MemberRecord
    package var accusations: [Accusation]

    package init(record: MemberRecord, accusations: [Accusation] = []) {
        self.record = record
        self.accusations = accusations
    }
}

/// One silo's word that it cannot reach a member.
package struct Accusation: Sendable, Hashable {
    /// The lower 31 bits of the accuser's key: enough to tell accusers of one member apart.
    package let accuser: UInt32
    /// The member's port was found closed, which a silent network does not do.
    package let isRefusal: Bool

    package init(accuser: NodeID, isRefusal: Bool) {
        self.accuser = UInt32(truncatingIfNeeded: accuser.key) & 0x7fff_ffff
        self.isRefusal = isRefusal
    }

    init(bits: UInt32) {
        accuser = bits & 0x7fff_ffff
        isRefusal = bits >> 31 == 1
    }

    var bits: UInt32 { accuser | (isRefusal ? 1 << 31 : 0) }
}
