package import OrchestraCore
package import Records

/// The requests that a grain remembers with their replies, oldest first, so that a repetition has no second effect.
///
/// A request is remembered for a window of time. When a grain is asked so often that the cap is reached within the
/// window, the oldest make room, but never one that is younger than a minimal age, in which its caller may well
/// repeat it: then the new request is refused as `overloaded`.
package struct RecordedRequests: Sendable, Hashable {
    package private(set) var entries: [RecordedRequest]

    package init(_ entries: [RecordedRequest] = []) {
        self.entries = entries
    }

    /// The recorded reply of a request within the window.
    package func reply(to requestID: String, at now: Timestamp, limits: GrainLimits) -> [UInt8]? {
        let oldest = now.advanced(by: .zero - limits.requestWindow)
        return entries.last { $0.requestId == requestID && $0.at > oldest }?.reply
    }

    /// Makes sure that one more request can be recorded; call it before the turn runs.
    ///
    /// - Throws: ``OrchestraError`` with `overloaded` when too many are too young to be forgotten.
    package mutating func makeRoom(at now: Timestamp, limits: GrainLimits) throws(OrchestraError) {
        let expired = now.advanced(by: .zero - limits.requestWindow)
        var dropped = entries.prefix { $0.at <= expired }.count
        var bytes = entries[dropped...].reduce(0) { $0 + $1.reply.count }
        let settled = now.advanced(by: .zero - limits.minimumRequestAge)
        while entries.count - dropped >= limits.maximumRequests || bytes >= limits.maximumRequestBytes,
            dropped < entries.count
        {
            guard entries[dropped].at <= settled else {
                throw OrchestraError(
                    .overloaded,
                    "the grain remembers \(entries.count - dropped) requests of the last "
                        + "\(limits.minimumRequestAge), its limit", nextStep: "try again in a moment")
            }
            bytes -= entries[dropped].reply.count
            dropped += 1
        }
        entries.removeFirst(dropped)
    }

    /// Remembers a request. A reply that alone exceeds the cap is kept all the same: it makes room at the next request.
    package mutating func record(_ requestID: String, reply: [UInt8], at now: Timestamp) {
        entries.append(RecordedRequest(requestId: requestID, at: now, reply: reply))
    }
}
