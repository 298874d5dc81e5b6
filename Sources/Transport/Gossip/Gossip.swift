package import NIOCore
import Synchronization

/// The gossip of a node: messages out to nodes or addresses, messages and events in. What the membership protocol's
/// shell works with.
///
/// A message is delivered once or not at all; the order between two nodes holds within a priority while one connection
/// lasts. Messages to a peer without a connection wait for the dial and are dropped if it fails: gossip is perishable,
/// and the protocol says it again.
package final class Gossip: Sendable {
    /// Whom a message is for: at least one of the two.
    package struct Target: Sendable, Hashable {
        /// Its connection is used if there is one; a dial insists on it.
        package var nodeID: String?
        /// Where to dial without a connection. Without it, as for clients that do not listen, the message is dropped.
        package var address: HostAndPort?

        package init(nodeID: String?, address: HostAndPort?) {
            self.nodeID = nodeID
            self.address = address
        }
    }

    /// Messages and events from peers, for one consumer.
    package let inputs: PeerInputs

    private struct Outbox {
        var messages: [GossipHub.Outgoing] = []
        var bytes = 0
        var isScheduled = false
        var isClosed = false
    }

    private let hub: GossipHub
    private let outbox = Mutex(Outbox())

    init(table: ConnectionTable) {
        let resumption = Resumption()
        inputs = PeerInputs(
            maximumCount: table.limits.maximumGossipInputs, maximumBytes: table.limits.maximumGossipInputBytes,
            resume: { resumption.run() })
        let hub = GossipHub(table: table, inputs: inputs)
        self.hub = hub
        resumption.set { [weak hub] in hub?.scheduleResumption() }
    }

    var user: any ConnectionUser { hub }

    /// Messages that were not sent, for want of a connection or of room.
    package var dropped: Int { hub.dropped.load(ordering: .relaxed) }

    /// Hands a message over; returns at once.
    ///
    /// - Parameters:
    ///   - message: at most ``TransportLimits/maximumFrameLength`` minus a header.
    ///   - priority: urgent ones overtake bulk ones that wait.
    /// - Returns: `false` if it was dropped here, because too much waits or the network is shut down.
    @discardableResult
    package func send(_ message: ByteBuffer, to target: Target, priority: FramePriority = .urgent) -> Bool {
        let length = message.readableBytes
        let limits = hub.table.limits
        var mustWake = false
        let isTaken = outbox.withLock { outbox in
            guard !outbox.isClosed, length <= limits.maximumFrameLength - Frame.lengthOverhead,
                outbox.bytes + length <= limits.maximumGossipInputBytes || outbox.messages.isEmpty
            else { return false }
            outbox.messages.append(GossipHub.Outgoing(message: message, target: target, priority: priority))
            outbox.bytes += length
            mustWake = !outbox.isScheduled
            outbox.isScheduled = true
            return true
        }
        if mustWake { hub.table.eventLoop.execute { self.takeOutbox() } }
        if !isTaken { hub.dropped.add(1, ordering: .relaxed) }
        return isTaken
    }

    /// Closes the gossip connection to a node, if there is one; the next message to it dials again.
    package func disconnect(_ nodeID: String) {
        hub.table.eventLoop.execute {
            self.hub.table.connection(to: nodeID, .gossip)?.close("the node is no longer a member")
        }
    }

    /// Ends ``inputs`` and drops what is sent from here on.
    func close() {
        outbox.withLock { $0.isClosed = true }
        inputs.finish()
    }

    private func takeOutbox() {
        let messages = outbox.withLock { outbox in
            defer {
                outbox.messages = []
                outbox.bytes = 0
                outbox.isScheduled = false
            }
            return outbox.messages
        }
        hub.send(messages)
    }
}

/// Breaks the knot of the inputs, which wake the hub, and the hub, which fills the inputs.
private final class Resumption: Sendable {
    private let body = Mutex<(@Sendable () -> Void)?>(nil)

    func set(_ body: @escaping @Sendable () -> Void) { self.body.withLock { $0 = body } }

    func run() { body.withLock { $0 }?() }
}
