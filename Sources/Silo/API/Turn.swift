public import OrchestraCore
import Records

/// One handler run on one grain: what the handler may know and what it may do besides changing the grain.
///
/// Nothing here takes effect by itself. What a turn publishes, schedules or completes is kept aside until the handler
/// returns, and is then committed together with the grain's state and the consumed input; a turn that throws leaves no
/// trace. For the same reason a turn must not read clocks or random sources of its own: use ``now``.
///
/// A turn never waits for another grain's commit: two partitions that wait for each other would stand still for ever. So
/// commands to other grains are told, not asked, and what comes of them is another turn. Another grain's committed state can be
/// read (``read(_:of:key:)``).
public struct Turn: Sendable {
    /// What was there before this turn.
    public enum Standing: Sendable, Hashable {
        /// The grain has no state: this is its first turn.
        case new
        /// The grain has state.
        case living
        /// The grain has completed a while ago; only its recent request ids are remembered. It would begin anew.
        case remembered
    }

    /// The grain's identity.
    public let grain: GrainID
    /// The present, the same for the whole turn and for all turns of its batch. It is recorded and never goes back,
    /// also over restarts and on machines whose clock does.
    public let now: Timestamp
    /// Whether the grain has state already.
    public let standing: Standing
    /// The W3C `traceparent` of the call or event, if it has one.
    public let traceParent: String?

    /// The grain's key.
    public var key: String { grain.key }

    package var environment: TurnEnvironment
    package var calls: TurnCalls?
    package var effects = TurnEffects()
    /// Why a grain that the turn wanted to read could not be asked.
    package var obstacle: OrchestraError?
    /// Tells told commands of one batch apart.
    package var sequence: Int64
    package var inputIndex: Int

    package init(
        grain: GrainID, now: Timestamp, standing: Standing, traceParent: String?, environment: TurnEnvironment,
        calls: TurnCalls? = nil, sequence: Int64, inputIndex: Int
    ) {
        self.grain = grain
        self.now = now
        self.standing = standing
        self.traceParent = traceParent
        self.environment = environment
        self.calls = calls
        self.sequence = sequence
        self.inputIndex = inputIndex
    }

    /// Publishes an event, in the turn's transaction.
    ///
    /// - Parameters:
    ///   - event: the record.
    ///   - stream: where to; the grain must handle it or declare it with `Publishes`.
    ///   - key: the key of the grain that the event concerns, 1 to 512 bytes.
    /// - Throws: ``OrchestraError``: `tooLarge` for a record over the topic's limit, `badConfiguration` for a stream
    ///   that the grain does not declare, `invalidArgument` for a key that is no grain key.
    public mutating func publish<Event: StreamRecord>(
        _ event: Event, to stream: StreamName<Event>, key: String
    ) throws {
        guard environment.publishable.contains(stream.topic) else {
            throw OrchestraError(
                .badConfiguration, "\(grain.type) publishes to \(stream.topic) without declaring it",
                nextStep: "add Publishes(...) for this stream to the grain's handlers")
        }
        let value = try environment.codec.encode(event)
        try append(OutgoingRecord(topic: stream.topic, key: Turn.validated(key), value: value))
    }

    /// Sends a durable command to another grain (or to this one): it runs as a turn of its own, after this turn's
    /// commit, exactly once, and is tried again like an event.
    ///
    /// Without `replyTo`, the reply is dropped, and a command that fails goes to the dead letters. With it, what came of
    /// the command, the reply or the failure, is another turn of this grain, exactly once. It always comes, but there is
    /// no bound on when: for a time limit, set a timer.
    ///
    /// - Parameter replyTo: the name of this grain's ``ReplyHandler`` (`OnReply`) for what comes of it. Default: none.
    /// - Returns: the command's id, which the reply repeats (``TellReply/requestID``).
    /// - Throws: ``OrchestraError``: `tooLarge`; `invalidArgument` for a key that is no grain key; `unimplemented` when
    ///   the grain has no `OnReply` of this name, `badConfiguration` when it is for another command.
    @discardableResult
    public mutating func tell<C: GrainCommand>(
        _ command: C, to type: GrainType, key: String, replyTo: String? = nil
    ) throws -> String {
        if let replyTo { try checkReplyHandler(replyTo, of: C.name) }
        let record = GrainCommandRecord(
            requestId: "\(grain)#\(sequence).\(inputIndex).\(effects.outgoing.count)", grainType: type.name,
            grainKey: try GrainID(type: type, key: key).key, method: C.name,
            payload: try MessageCoding.encode(command), sentBy: grain.description, sentAt: now,
            traceParent: traceParent, replyTo: replyTo)
        try append(OutgoingRecord(topic: Topics.commands, key: key, value: environment.codec.encode(record)))
        if replyTo != nil { effects.awaitsReply = true }
        return record.requestId
    }

    private func checkReplyHandler(_ name: String, of command: String) throws(OrchestraError) {
        guard let taken = environment.replies[name] else {
            throw OrchestraError(
                .unimplemented, "\(grain.type) wants replies for \"\(name)\" but has no handler for them",
                nextStep: "add OnReply(\"\(name)\", to: \(command).self) to the grain's handlers")
        }
        guard taken == command else {
            throw OrchestraError(
                .badConfiguration, "OnReply(\"\(name)\") of \(grain.type) takes replies to \(taken), not to \(command)",
                nextStep: "declare an OnReply for each command")
        }
    }

    /// Sets a durable timer: the grain's handler of this name runs once, at `instant` or soon after. A timer of the
    /// same name is replaced. Timers survive restarts; they end with the grain.
    ///
    /// - Throws: ``OrchestraError`` with `unimplemented` when the grain has no `Timer` handler of this name.
    public mutating func schedule(_ name: String, at instant: Timestamp) throws {
        guard environment.timers.contains(name) else {
            throw OrchestraError(
                .unimplemented, "\(grain.type) schedules \"\(name)\" but has no handler for it",
                nextStep: "add Timer(\"\(name)\") to the grain's handlers")
        }
        effects.timers[name] = .set(instant)
    }

    /// Removes a durable timer; nothing happens if there is none of this name.
    public mutating func cancelTimer(_ name: String) {
        effects.timers[name] = .cancelled
    }

    /// Deletes the grain: its state and timers go with this turn's commit. Its recent request ids are remembered for
    /// the deduplication window, so that a repeated request still gets its reply.
    public mutating func complete() {
        effects.completes = true
    }

    private mutating func append(_ record: OutgoingRecord) throws {
        try record.check(environment.limits)
        effects.outgoingBytes += record.size
        guard effects.outgoingBytes <= environment.limits.maximumTurnBytes else {
            throw OrchestraError(
                .tooLarge, "a turn of \(grain) sends more than \(environment.limits.maximumTurnBytes) bytes",
                nextStep: "spread the work over several turns")
        }
        effects.outgoing.append(record)
    }

    private static func validated(_ key: String) throws -> String {
        try GrainID(type: "key", key: key).key
    }
}

/// What a turn wants to happen with its commit.
package struct TurnEffects: Sendable, Hashable {
    package enum TimerChange: Sendable, Hashable {
        case set(Timestamp)
        case cancelled
    }

    package var outgoing: [OutgoingRecord] = []
    package var outgoingBytes = 0
    package var timers: [String: TimerChange] = [:]
    package var completes = false
    /// Whether a told command's reply is to come back to this grain.
    package var awaitsReply = false

    package init() {}
}

/// A record that a turn sends; its partition follows from its key.
package struct OutgoingRecord: Sendable, Hashable {
    package var topic: String
    package var key: String
    package var value: [UInt8]

    /// About what it takes in a Kafka batch.
    package var size: Int { key.utf8.count + value.count + 64 }

    /// - Throws: ``OrchestraError`` with `tooLarge` for a record that its topic would refuse.
    package func check(_ limits: GrainLimits) throws(OrchestraError) {
        guard size <= limits.maximumRecordSize else {
            throw OrchestraError(
                .tooLarge, "a record of \(size) bytes for \(topic) is over \(limits.maximumRecordSize)",
                nextStep: "send a reference instead of the data")
        }
    }
}

/// What the turns of one grain type can reach.
package final class TurnEnvironment: Sendable {
    package let codec: any RecordCoding
    /// The topics that the grain may publish to.
    package let publishable: Set<String>
    /// The names of the grain's timers.
    package let timers: Set<String>
    /// The names of the grain's reply handlers, with the command that each is for.
    package let replies: [String: String]
    package let limits: GrainLimits
    package let workflows: WorkflowCatalog

    package init(
        codec: any RecordCoding, publishable: Set<String>, timers: Set<String>, replies: [String: String],
        limits: GrainLimits, workflows: WorkflowCatalog
    ) {
        self.codec = codec
        self.publishable = publishable
        self.timers = timers
        self.replies = replies
        self.limits = limits
        self.workflows = workflows
    }
}
