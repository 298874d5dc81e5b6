/// The state of push-pull with one partner at a time: which buckets are still to be exchanged.
///
/// The initiator offers its digest; the partner answers with the digests of its buckets; the initiator then walks
/// through those that differ, a chunk at a time, sending its own records and merging what comes back. The next chunk
/// goes out when the last one is answered, so bulk never piles up in front of pings, and the partner keeps no state.
///
/// Legal exits: `idle` → `offered` → `exchanging` → `idle`; each but `idle` falls back to `idle` after a time-out.
struct Synchronizer: Sendable {
    enum State: Sendable {
        case idle
        case offered(NodeID, deadline: Moment)
        case exchanging(NodeID, buckets: [UInt8], theirCount: Int, deadline: Moment)
    }

    var state: State = .idle
    /// What this synchronisation has brought so far.
    var changes = 0
    /// What the message under way has brought: beyond a few records it is bulk, and not passed on as news.
    var changesByMessage = 0
    /// The bucket of which not all records fitted into the exchange under way.
    var splitBucket: UInt8?
    /// How many of the latest parts of that bucket have brought nothing, one after the other.
    var fruitlessParts = 0
    /// The next push-pull that is due by the clock.
    var nextAt: Moment = .distantFuture
    var lastStartedAt: Moment = .distantPast
    /// How many of the latest digests of neighbours have differed from this node's, one after the other.
    var mismatches = 0

    var partner: NodeID? {
        switch state {
        case .idle: nil
        case .offered(let id, _), .exchanging(let id, _, _, _): id
        }
    }

    var deadline: Moment {
        switch state {
        case .idle: .distantFuture
        case .offered(_, let deadline), .exchanging(_, _, _, let deadline): deadline
        }
    }
}
