package import EventLog
package import OrchestraCore
import Records

/// Something that makes a grain take a turn.
package struct TurnInput: Sendable {
    package enum Source: Sendable {
        case record(ConsumedRecord)
        case call(PendingCall)
        case timer(TimerEntry)
    }

    package var source: Source
    package var grain: GrainID
    package var handler: HandlerName
    package var payload: TurnPayload
    package var traceParent: String?
    /// Who wants to know what comes of a told command.
    package var replyAddress: ReplyAddress?
    /// Set when this input has made transactions fail: it gets this error instead of a turn.
    package var condemned: OrchestraError?

    /// Whether somebody waits for the answer, and decides what to do about an error.
    package var hasCaller: Bool {
        if case .call = source { true } else { false }
    }

    package init(
        source: Source, grain: GrainID, handler: HandlerName, payload: TurnPayload, traceParent: String? = nil,
        replyAddress: ReplyAddress? = nil
    ) {
        self.source = source
        self.grain = grain
        self.handler = handler
        self.payload = payload
        self.traceParent = traceParent
        self.replyAddress = replyAddress
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
