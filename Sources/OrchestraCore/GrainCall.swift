/// A call to a grain as it crosses the network: what is asked of whom, until when, and how to recognise a repetition.
///
/// `Transport` carries these values between nodes, `Silo` answers them; neither knows the other.
public struct GrainCallRequest: Sendable, Hashable {
    /// What the call may do to the grain.
    public enum Kind: UInt8, Sendable, Hashable {
        /// May change the grain; answered after its commit.
        case command = 1
        /// Only reads the committed state; answered at once.
        case query = 2
        /// A query from within another grain's turn: answered at once or not at all, so that it waits for no commit.
        case read = 3
    }

    /// Repeating a command with the same id gets the recorded reply instead of a second effect.
    /// 1 to 128 bytes of UTF-8.
    public var requestID: String
    public var grain: GrainID
    public var kind: Kind
    /// The stable name of the command or query.
    public var method: String
    /// The encoded command or query.
    public var payload: [UInt8]
    /// How long the caller still waits.
    public var timeLeft: Duration
    /// For queries: answer only once the grain's version is greater than this (a long poll). `nil`: answer at once.
    public var newerThan: UInt64?
    /// For queries: answer only once the owner has taken in every record of this topic below this offset
    /// (in the grain's partition). It makes an acknowledged record visible to its own producer.
    public var after: Position?
    /// The W3C `traceparent` of the caller, if it is traced.
    public var traceParent: String?
    /// The volatile grains that wait for this call's answer in their turns, outermost first.
    public var callers: [GrainID] = []
    /// How often the call has been passed on from silo to silo.
    public var hops: UInt8 = 0

    /// More often a call is not passed on: the silos' views differ too much.
    public static let maximumHops: UInt8 = 3

    /// More grains cannot wait for one call.
    public static let maximumCallers = 16

    /// A place in the grain's partition of a topic.
    public struct Position: Sendable, Hashable {
        public var topic: String
        /// Every record below this offset must have been taken in.
        public var offset: Int64

        public init(topic: String, offset: Int64) {
            self.topic = topic
            self.offset = offset
        }
    }

    public init(
        requestID: String, grain: GrainID, kind: Kind, method: String, payload: [UInt8], timeLeft: Duration,
        newerThan: UInt64? = nil, after: Position? = nil, traceParent: String? = nil
    ) {
        self.requestID = requestID
        self.grain = grain
        self.kind = kind
        self.method = method
        self.payload = payload
        self.timeLeft = timeLeft
        self.newerThan = newerThan
        self.after = after
        self.traceParent = traceParent
    }
}

/// The answer to a ``GrainCallRequest``.
public struct GrainCallReply: Sendable, Hashable {
    /// The grain's version that the answer was computed from: the sequence of its last commit; 0 for a grain
    /// that has no state.
    public var version: UInt64
    /// The encoded reply.
    public var payload: [UInt8]

    public init(version: UInt64, payload: [UInt8]) {
        self.version = version
        self.payload = payload
    }
}

/// Whoever can answer a grain call: the silo itself, or a client that passes it on to the owner.
public protocol GrainCallHandler: Sendable {
    /// - Returns: the reply of the grain.
    /// - Throws: ``OrchestraError``; `deadlineExceeded` when `timeLeft` has passed, `overloaded` when a bounded
    ///   queue is full, `outcomeUnknown` when a command may or may not have been committed.
    func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply
}
