package import EventLog
package import OrchestraCore
import Records

/// Something that makes a grain take a turn. An object, not a value: it stays as it is while it is passed from hand to
/// hand, and a copy of all that it holds is a dozen reference counts.
package final class TurnInput: Sendable {
    package enum Source: Sendable {
        case record(ConsumedRecord)
        case call(PendingCall)
        case timer(TimerEntry)
    }

    package let source: Source
    package let grain: GrainID
    package let handler: HandlerName
    package let payload: TurnPayload
    package let traceParent: String?
    /// Who wants to know what comes of a told command.
    package let replyAddress: ReplyAddress?
    /// Set when this input has made transactions fail: it gets this error instead of a turn.
    package let condemned: OrchestraError?

    /// Whether somebody waits for the answer, and decides what to do about an error.
    package var hasCaller: Bool {
        if case .call = source { true } else { false }
    }

    package init(
        source: Source, grain: GrainID, handler: HandlerName, payload: TurnPayload, traceParent: String? = nil,
        replyAddress: ReplyAddress? = nil, condemned: OrchestraError? = nil
    ) {
        self.source = source
        self.grain = grain
        self.handler = handler
        self.payload = payload
        self.traceParent = traceParent
        self.replyAddress = replyAddress
        self.condemned = condemned
    }

    /// The same input, which has made transactions fail.
    package func condemned(_ error: OrchestraError) -> TurnInput {
        TurnInput(
            source: source, grain: grain, handler: handler, payload: payload, traceParent: traceParent,
            replyAddress: replyAddress, condemned: error)
    }
}

/// How a turn ended.
package enum TurnVerdict: Sendable {
    /// Its effects are part of the batch. A command has a reply.
    case done(outgoing: [OutgoingRecord], reply: [UInt8]?)
    /// A command whose request id is remembered: the recorded reply, no second effect.
    case repeated(reply: [UInt8])
    /// Nothing to do: the timer had been cancelled, or a grave has been buried.
    case skipped
    /// A command that threw: its caller gets the error, nothing changed.
    case refused(OrchestraError)
    /// An event, told command or timer that failed for good.
    case failed(OrchestraError, attempts: Int)
}
