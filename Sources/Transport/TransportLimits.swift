/// The bounds of a node's connections. Every queue and every wait of the transport has one of these.
package struct TransportLimits: Sendable, Hashable {
    /// The largest frame after the handshake, in bytes. A longer one closes the connection before it is read.
    package var maximumFrameLength = 16 << 20
    /// The largest frame before the handshake is done, in bytes.
    package var maximumHandshakeFrameLength = 1024
    /// How long a new connection may take until the handshake is done.
    package var handshakeTimeout = Duration.seconds(5)
    /// Accepted connections whose handshake is not done; beyond, the oldest of them is closed.
    package var maximumStrangers = 512
    /// Frames of at least this length, in bytes, are compressed if that makes them shorter.
    package var compressionThreshold = 4096
    /// A caller that has heard nothing for this long asks whether the peer is still there.
    package var pingInterval = Duration.seconds(5)
    /// A connection on which no whole frame arrives for this long is closed. At least two ping intervals.
    package var silenceTimeout = Duration.seconds(20)
    /// A peer that reads nothing for this long, while answers wait for it, is cut off.
    package var writeStallTimeout = Duration.seconds(20)
    /// Unacknowledged data closes a connection after this time (`TCP_USER_TIMEOUT`, Linux only).
    package var tcpUserTimeout = Duration.seconds(15)
    /// How long one attempt to connect may take.
    package var connectTimeout = Duration.seconds(3)
    /// Accepted connections that have introduced themselves; more are refused.
    package var maximumConnections = 4096
    /// Calls in progress for one connection of a server; more are answered `overloaded`.
    package var maximumCallsPerConnection = 8192
    /// Calls in progress in a whole server; more are answered `overloaded`.
    package var maximumCalls = 32_768
    /// Bytes of arguments of calls in progress in a whole server; more are answered `overloaded`.
    package var maximumCallBytes = 256 << 20
    /// Bytes of answers that wait for one peer to read them; beyond, the connection is closed.
    package var maximumUnsentBytes = 128 << 20
    /// Calls in progress or waiting for a connection that a client holds for one peer; more fail as `overloaded`.
    package var maximumClientCalls = 16_384
    /// Bytes of arguments of the calls that a client holds for one peer; more fail as `overloaded`.
    package var maximumClientCallBytes = 256 << 20
    /// Bytes of gossip that wait for one connection, or for a peer that is being dialed; more are dropped.
    package var maximumGossipBytes = 4 << 20
    /// Gossip messages that wait for a peer that is being dialed; beyond, the oldest is dropped.
    package var maximumWaitingGossip = 256
    /// Bytes of received gossip that nobody has taken yet; beyond, no more is read.
    package var maximumGossipInputBytes = 16 << 20
    /// Gossip messages and events that nobody has taken yet; beyond, no more is read.
    package var maximumGossipInputs = 8192
    /// Peers whose address is remembered for gossip; beyond, those without a connection are forgotten.
    package var maximumGossipPeers = 16_384
    /// A gossip connection that this node dialed and that carries nothing for so long is closed.
    package var gossipIdleTimeout = Duration.seconds(120)
    /// How long calls in progress may still take when a server or client shuts down.
    package var drainTimeout = Duration.seconds(10)
    /// The first pause before connecting again; each further one is up to twice as long.
    package var minimumBackoff = Duration.milliseconds(20)
    /// The longest pause before connecting again.
    package var maximumBackoff = Duration.seconds(2)

    package init() {}
}
