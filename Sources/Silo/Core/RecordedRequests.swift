package import OrchestraCore
package import Records

/// The requests that a grain remembers with their replies, so that a repetition has no second effect.
///
/// A busy grain remembers many, and each of its commits would repeat them all. So only the latest, the *open* ones, are
/// part of the grain's record; when they have become many, a commit seals them: they go to a record of their own in the
/// changelog, which is never written again, and is deleted when its youngest request is forgotten.
///
/// A request is remembered for a window of time. When a grain is asked so often that the cap is reached within the
/// window, the oldest make room, but never one that is younger than a minimal age, in which its caller may well
/// repeat it: then the new request is refused as `overloaded`.
package struct RecordedRequests: Sendable {
    /// Oldest first.
    package private(set) var sealed: [RequestChunk]
    /// Younger than all that are sealed, oldest first.
    package private(set) var open: [RecordedRequest]
    /// What the changelog has to learn besides the open ones.
    package private(set) var changes = RequestChanges()
    private var openReplyBytes: Int
    private var sealedReplyBytes: Int
    private var sealedCount: Int

    package init(_ open: [RecordedRequest] = [], sealed: [RequestChunk] = []) {
        self.open = open
        self.sealed = sealed
        openReplyBytes = open.reduce(0) { $0 + $1.reply.count }
        sealedReplyBytes = sealed.reduce(0) { $0 + $1.replyBytes }
        sealedCount = sealed.reduce(0) { $0 + $1.requests.count }
    }

    package var count: Int { sealedCount + open.count }
    private var replyBytes: Int { sealedReplyBytes + openReplyBytes }

    /// The recorded reply of a request within the window.
    package func reply(to requestID: String, at now: Timestamp, limits: GrainLimits) -> [UInt8]? {
        let oldest = now.advanced(by: .zero - limits.requestWindow)
        let request =
            open.last { $0.requestId == requestID } ?? sealed.lazy.reversed().compactMap { $0[requestID] }.first
        return request.flatMap { $0.at > oldest ? $0.reply : nil }
    }

    /// Makes sure that one more request can be recorded; call it before the turn runs.
    ///
    /// - Throws: ``OrchestraError`` with `overloaded` when too many are too young to be forgotten.
    package mutating func makeRoom(at now: Timestamp, limits: GrainLimits) throws(OrchestraError) {
        let expired = now.advanced(by: .zero - limits.requestWindow)
        while let youngest = youngestOfOldest, youngest <= expired { forgetOldest() }
        let settled = now.advanced(by: .zero - limits.minimumRequestAge)
        while count >= limits.maximumRequests || replyBytes >= limits.maximumRequestBytes,
            let youngest = youngestOfOldest
        {
            guard youngest <= settled else {
                throw OrchestraError(
                    .overloaded,
                    "the grain remembers \(count) requests of the last \(limits.minimumRequestAge), its limit",
                    nextStep: "try again in a moment")
            }
            forgetOldest()
        }
    }

    /// Remembers a request. A reply that alone exceeds the cap is kept all the same: it makes room at the next request.
    package mutating func record(_ requestID: String, reply: [UInt8], at now: Timestamp) {
        open.append(RecordedRequest(requestId: requestID, at: now, reply: reply))
        openReplyBytes += reply.count
    }

    /// Seals the open requests if they have become many; call it once for each commit.
    ///
    /// - Parameter sequence: the commit's sequence.
    package mutating func seal(sequence: Int64, limits: GrainLimits) {
        guard open.count >= limits.openRequests || openReplyBytes >= limits.openRequestBytes else { return }
        let chunk = RequestChunk(sequence: sequence, requests: open)
        sealed.append(chunk)
        sealedCount += open.count
        sealedReplyBytes += openReplyBytes
        (open, openReplyBytes) = ([], 0)
        changes.sealed = chunk
    }

    /// The grain goes with all that is remembered of it.
    package mutating func forgetAll() {
        while youngestOfOldest != nil { forgetOldest() }
    }

    /// What is forgotten next goes when this one may go: sealed requests go together.
    private var youngestOfOldest: Timestamp? { sealed.first?.requests.last?.at ?? open.first?.at }

    private mutating func forgetOldest() {
        guard !sealed.isEmpty else {
            openReplyBytes -= open.removeFirst().reply.count
            return
        }
        let chunk = sealed.removeFirst()
        sealedCount -= chunk.requests.count
        sealedReplyBytes -= chunk.replyBytes
        changes.forgotten.append(chunk.sequence)
    }
}

/// Requests of one grain that were sealed together: they are never changed.
package struct RequestChunk: Sendable {
    /// The commit that sealed them; tells the chunks of a grain apart, and says which is older.
    package let sequence: Int64
    /// Oldest first; empty only if they cannot be read.
    package let requests: [RecordedRequest]
    /// Why they cannot be read; what this grain has been asked is not known, so it takes no commands.
    package let damage: String?
    package let replyBytes: Int
    private let places: [String: Int]

    package init(sequence: Int64, requests: [RecordedRequest]) {
        self.sequence = sequence
        self.requests = requests
        damage = nil
        replyBytes = requests.reduce(0) { $0 + $1.reply.count }
        places = Dictionary(requests.indices.map { (requests[$0].requestId, $0) }, uniquingKeysWith: max)
    }

    package init(sequence: Int64, damage: String) {
        self.sequence = sequence
        requests = []
        self.damage = damage
        replyBytes = 0
        places = [:]
    }

    package subscript(requestID: String) -> RecordedRequest? { places[requestID].map { requests[$0] } }

    /// About the memory that it takes.
    package var footprint: Int { requests.reduce(64) { $0 + $1.footprint + 32 } }
}

/// What a commit does to a grain's sealed requests.
package struct RequestChanges: Sendable {
    /// To be written.
    package var sealed: RequestChunk?
    /// The chunks to be deleted.
    package var forgotten: [Int64] = []
}

extension RecordedRequest {
    /// About the memory that it takes.
    var footprint: Int { requestId.utf8.count + reply.count + 64 }
}

extension RequestChunk {
    package init(sequence: Int64, _ record: SealedRequests) {
        self.init(
            sequence: sequence,
            requests: record.requests.map { RecordedRequest(requestId: $0.requestId, at: $0.at, reply: $0.reply) })
    }

    package var record: SealedRequests {
        SealedRequests(
            requests: requests.map { SealedRequest(requestId: $0.requestId, at: $0.at, reply: $0.reply) })
    }
}
