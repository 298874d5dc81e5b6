import Avro
package import OrchestraCore
package import Records

/// Where what comes of a told command goes: a handler of the grain that told it.
///
/// The reply, or the failure, is a record in `orchestra.commands` of the transaction that consumes the command; it is
/// consumed by the teller's partition in the transaction of the handler's turn. So it arrives exactly once.
package struct ReplyAddress: Sendable, Hashable {
    package var teller: GrainID
    /// The name of the teller's `OnReply`.
    package var handler: String
    /// The id of the told command.
    package var requestID: String

    /// `nil` when the command wants no reply, or its sender is no grain.
    package init?(_ command: GrainCommandRecord) {
        guard command.kind == .command, let handler = command.replyTo,
            let teller = try? GrainID(parsing: command.sentBy)
        else { return nil }
        (self.teller, self.handler, requestID) = (teller, handler, command.requestId)
    }

    /// What the command answered.
    package func reply(_ payload: [UInt8], from grain: GrainID, at now: Timestamp, traceParent: String?)
        -> GrainCommandRecord
    {
        record(.reply, payload, from: grain, at: now, traceParent)
    }

    /// Why the command had no effect.
    package func failure(_ error: OrchestraError, from grain: GrainID, at now: Timestamp, traceParent: String?) throws
        -> GrainCommandRecord
    {
        record(.failure, try MessageCoding.encode(ToldFailure(error)), from: grain, at: now, traceParent)
    }

    private func record(
        _ kind: ToldKind, _ payload: [UInt8], from grain: GrainID, at now: Timestamp, _ traceParent: String?
    ) -> GrainCommandRecord {
        GrainCommandRecord(
            requestId: requestID, grainType: teller.type.name, grainKey: teller.key, method: handler, payload: payload,
            sentBy: grain.description, sentAt: now, traceParent: traceParent, kind: kind)
    }
}

/// What came of a told command, as it arrives at the teller.
package struct ToldAnswer: Sendable {
    package var requestID: String
    package var from: GrainID
    /// The encoded reply.
    package var outcome: Result<[UInt8], OrchestraError>

    /// - Throws: ``OrchestraError`` with `invalidArgument` for a record that is no reply.
    package init(_ record: GrainCommandRecord) throws(OrchestraError) {
        requestID = record.requestId
        from = try GrainID(parsing: record.sentBy)
        switch record.kind {
        case .reply: outcome = .success(record.payload)
        case .failure: outcome = .failure(try MessageCoding.decode(ToldFailure.self, from: record.payload).error)
        case .command: throw OrchestraError(.invalidArgument, "\(record.method) of \(from) is a command, no reply")
        }
    }
}

/// An error on its way through Kafka.
private struct ToldFailure: Codable {
    var code: String
    var message: String
    var nextStep: String?

    init(_ error: OrchestraError) {
        code = error.code.rawValue.truncated(toBytes: 100)
        // Handlers choose the words of their errors; a failure must always fit into a record.
        message = error.message.truncated(toBytes: 2_000)
        nextStep = error.nextStep?.truncated(toBytes: 1_000)
    }

    var error: OrchestraError { OrchestraError(OrchestraError.Code(rawValue: code), message, nextStep: nextStep) }
}
