/// What a shell tells a ``Membership``. Each is given to `step` with the time at which it is handled.
package enum MembershipEvent: Sendable {
    /// The node begins: once, first.
    case start
    /// The time that the last ``MembershipEffect/wake(at:)`` named has come. A wake-up too many does no harm; a late
    /// one is taken as a pause of this process.
    case wake
    /// A message has arrived on a connection whose handshake proved who the peer is. The bytes are read with
    /// ``MessageCodec``; those that do not decode end the connection and never come here.
    case received(Message, from: NodeID)
    /// A handshake with the peer has just been completed, whoever dialled: a sign of life.
    case connected(NodeID, generation: UInt64)
    /// The connection to the peer broke or was closed by the peer (not by the shell for lack of use), or could not be
    /// made for a message that was to be sent.
    case disconnected(NodeID)
    /// The answer to a ``MembershipEffect/dial(_:at:)``: always exactly one.
    case dialed(DialTarget, DialOutcome)
    /// The node's own load or share has changed. Spread at once if the weight or labels differ; for load
    /// alone seldom and if it differs by enough. What is not spread is dropped: tell the load every few seconds.
    case describe(weight: UInt16, load: UInt8, labels: [MemberDescription.Label])
    /// The node is about to stop. ``MembershipEffect/left`` follows once the neighbours have been told.
    case leave
}

/// Whom a dial is meant for.
package enum DialTarget: Sendable, Hashable {
    case member(NodeID)
    /// A configured address; whoever listens there is welcome.
    case seed(NodeAddress)
}

/// What became of a dial.
package enum DialOutcome: Sendable, Hashable {
    /// The handshake is complete; the connection is kept and used for what is sent to that node.
    case answered(NodeID, generation: UInt64)
    /// The peer's host answered that nobody listens there (`ECONNREFUSED`).
    case refused
    /// Nothing answered in time: neither the host nor, once connected, the handshake. The time is the shell's; no
    /// more than the probe timeout is useful for members.
    case timedOut
    /// The handshake failed: another cluster, secret or protocol version, or another node than the one meant.
    case rejected
}

/// What a ``Membership`` asks its shell to do, in order.
package enum MembershipEffect: Sendable {
    /// Send over the connection with this node. If there is none, dial the address first (or drop the message when
    /// there is none). Messages to one node keep their order, except that bulk may be overtaken: see
    /// ``Message/isBulk``. A full write queue drops the message and reports nothing.
    case send(Message, to: NodeID, at: NodeAddress?)
    /// Open a new connection even if there is one, complete the handshake, and answer with
    /// ``MembershipEvent/dialed(_:_:)``. An answered connection replaces a broken one or is closed as a duplicate.
    case dial(DialTarget, at: NodeAddress)
    /// The neighbours have changed: keep connections to these; others may be closed when unused for a minute.
    case keepConnections([NodeID])
    /// Call `step` with `wake` at this moment, in place of any earlier request.
    case wake(at: Moment)
    /// The set of live silos has changed. Take ``Membership/view`` before the next step.
    case publish(version: UInt64)
    /// A member was learned, has changed or was forgotten (`nil`): for lists, logs and metrics.
    case changed(NodeID, MemberRecord?)
    /// The node knows the cluster (or has found that it is the first): its view may be acted on.
    case joined
    /// The cluster has ended this node's generation, or refused it. The node goes on under this one: whoever acts on
    /// its behalf must stop what it owned and begin anew. Later handshakes should carry it.
    case generationChanged(UInt64)
    /// The leave has been told; the process may stop.
    case left
    /// For metrics and logs.
    case observed(MembershipObservation)
}

/// What happened inside the protocol, for metrics and logs.
package enum MembershipObservation: Sendable, Hashable {
    /// A probe has failed by all means, directly, through helpers and by a fresh dial.
    case probeFailed(NodeID)
    /// A probe has failed, but nothing else was heard meanwhile, so this node doubts itself.
    case deaf
    /// This node accuses a member: `refused` if its port is closed.
    case accused(NodeID, refused: Bool)
    /// This node was suspected and has raised its incarnation.
    case refuted(incarnation: UInt32)
    /// A suspicion has run out here.
    case declaredDead(NodeID, witnessed: Bool)
    /// This process was paused for about so long.
    case stalled(Duration)
    /// A synchronisation has brought so many changes.
    case synchronised(with: NodeID, changes: Int)
    /// This node's only verdict was contradicted; it forgets what it believed and joins anew.
    case forgot
}

extension Message {
    /// Pings and gossip should overtake these in a write queue.
    package var isBulk: Bool {
        switch body {
        case .syncDigests, .syncExchange, .syncReply: true
        default: false
        }
    }
}
