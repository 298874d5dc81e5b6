import DequeModule
import NIOCore

/// What waits for one address while it is being dialed. A value type without I/O.
struct GossipLink {
    enum Phase {
        /// Nothing to do. Legal exits: dialing, open.
        case idle
        /// Legal exits: open, pausing.
        case dialing
        /// There is a connection, whoever dialed. Legal exits: idle, dialing, open (another one).
        case open(Connection)
        /// The last dial failed, the next has to wait. Legal exits: idle, dialing, open.
        case pausing
    }

    struct Waiting {
        var frame: ByteBuffer
        var priority: FramePriority
    }

    var phase = Phase.idle
    /// The node id that must answer; the last one that a message was meant for.
    var expecting: String?
    var backoff: Backoff
    private(set) var waiting = Deque<Waiting>()
    private var bytes = 0

    init(backoff: Backoff) {
        self.backoff = backoff
    }

    var isIdle: Bool {
        if case .idle = phase { waiting.isEmpty } else { false }
    }

    /// - Returns: how many messages had to go.
    mutating func enqueue(_ message: Waiting, limits: TransportLimits) -> Int {
        waiting.append(message)
        bytes += message.frame.readableBytes
        var dropped = 0
        while waiting.count > limits.maximumWaitingGossip || bytes > limits.maximumGossipBytes,
            let oldest = waiting.popFirst()
        {
            bytes -= oldest.frame.readableBytes
            dropped += 1
        }
        return dropped
    }

    mutating func takeWaiting() -> Deque<Waiting> {
        defer {
            waiting = []
            bytes = 0
        }
        return waiting
    }
}
