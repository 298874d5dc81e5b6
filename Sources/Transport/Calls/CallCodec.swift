package import NIOCore
package import OrchestraCore

/// The bodies of requests, replies, errors and cancellations. Each begins with the call id, which the caller chooses
/// and the answer repeats.
///
/// Request: call id (UInt64), kind (UInt8), which options follow (UInt8), time left in microseconds (UInt64), request
/// id, grain type, method (UInt8 length and UTF-8 each), grain key (UInt16 length and UTF-8), then as flagged
/// `newerThan` (UInt64), `after` (UInt8-length topic, Int64 offset), `traceParent` (UInt8-length text), `hops` (UInt8),
/// `callers` (UInt8 count, then grain type and key of each); the payload is the rest.
package enum CallCodec {
    private static let hasNewerThan: UInt8 = 1
    private static let hasAfter: UInt8 = 2
    private static let hasTraceParent: UInt8 = 4
    private static let hasHops: UInt8 = 8
    private static let hasCallers: UInt8 = 16
    /// Longer waits are cut to this one.
    private static let maximumTimeLeft = Duration.seconds(86_400)

    /// What every request takes on the wire beside its payload and its callers, at most.
    package static let maximumRequestOverhead = 2048

    package static func write(
        _ request: GrainCallRequest, id: UInt64, timeLeft: Duration, to buffer: inout ByteBuffer
    ) {
        buffer.writeFrame(.request) { body in
            var options: UInt8 = 0
            if request.newerThan != nil { options |= hasNewerThan }
            if request.after != nil { options |= hasAfter }
            if request.traceParent != nil { options |= hasTraceParent }
            if request.hops > 0 { options |= hasHops }
            if !request.callers.isEmpty { options |= hasCallers }
            body.writeMultipleIntegers(id, request.kind.rawValue, options, microseconds(timeLeft))
            body.writeShortText(request.requestID)
            body.writeShortText(request.grain.type.name)
            body.writeShortText(request.method)
            body.writeText(request.grain.key)
            if let newerThan = request.newerThan { body.writeInteger(newerThan) }
            if let after = request.after {
                body.writeShortText(after.topic)
                body.writeInteger(after.offset)
            }
            if let traceParent = request.traceParent { body.writeShortText(traceParent) }
            if request.hops > 0 { body.writeInteger(request.hops) }
            if !request.callers.isEmpty {
                body.writeInteger(UInt8(clamping: request.callers.count))
                for caller in request.callers {
                    body.writeShortText(caller.type.name)
                    body.writeText(caller.key)
                }
            }
            body.writeBytes(request.payload)
        }
    }

    /// What is wrong with a request before it is sent, if anything: the wire would cut or refuse it.
    package static func check(_ request: GrainCallRequest, limits: TransportLimits) throws(OrchestraError) {
        guard (1...128).contains(request.requestID.utf8.count) else {
            throw OrchestraError(
                .invalidArgument,
                "the request id of a call to \(request.grain) has \(request.requestID.utf8.count) "
                    + "bytes", nextStep: "use 1 to 128 bytes of UTF-8")
        }
        guard (1...200).contains(request.method.utf8.count), request.after?.topic.utf8.count ?? 0 <= 249,
            request.traceParent?.utf8.count ?? 0 <= 255
        else {
            throw OrchestraError(
                .invalidArgument, "the method, topic or trace parent of a call to \(request.grain) is too long",
                nextStep: "a method has 1 to 200 bytes, a topic at most 249, a trace parent at most 255")
        }
        guard request.callers.count <= GrainCallRequest.maximumCallers else {
            throw OrchestraError(
                .invalidArgument, "\(request.callers.count) grains wait for a call to \(request.grain)",
                nextStep: "at most \(GrainCallRequest.maximumCallers) can")
        }
        let callers = request.callers.reduce(0) { $0 + 3 + $1.type.name.utf8.count + $1.key.utf8.count }
        let limit = limits.maximumFrameLength - maximumRequestOverhead - callers
        guard request.payload.count <= limit else {
            throw OrchestraError(
                .tooLarge, "a call to \(request.grain) with \(request.payload.count) bytes; \(limit) are allowed",
                nextStep: "send less in one call")
        }
    }

    package static func readRequest(_ frame: Frame) throws(WireError) -> (id: UInt64, request: GrainCallRequest) {
        var body = frame.body
        guard
            let (id, rawKind, options, timeLeft) = body.readMultipleIntegers(as: (UInt64, UInt8, UInt8, UInt64).self),
            let kind = GrainCallRequest.Kind(rawValue: rawKind), options <= 31,
            let requestID = body.readShortText(1...128),
            let typeName = body.readShortText(1...100),
            let method = body.readShortText(1...200),
            let key = body.readText(1...GrainID.maximumKeyLength),
            let grain = try? GrainID(type: GrainType(typeName), key: key)
        else { throw WireError(.malformed, "a request that cannot be read") }
        var request = GrainCallRequest(
            requestID: requestID, grain: grain, kind: kind, method: method, payload: [],
            timeLeft: duration(microseconds: timeLeft))
        if options & hasNewerThan != 0 {
            guard let newerThan = body.readInteger(as: UInt64.self) else {
                throw WireError(.malformed, "a request that ends within newerThan")
            }
            request.newerThan = newerThan
        }
        if options & hasAfter != 0 {
            guard let topic = body.readShortText(1...249), let offset = body.readInteger(as: Int64.self) else {
                throw WireError(.malformed, "a request that ends within after")
            }
            request.after = GrainCallRequest.Position(topic: topic, offset: offset)
        }
        if options & hasTraceParent != 0 {
            guard let traceParent = body.readShortText(0...255) else {
                throw WireError(.malformed, "a request that ends within traceParent")
            }
            request.traceParent = traceParent
        }
        if options & hasHops != 0 {
            guard let hops = body.readInteger(as: UInt8.self) else {
                throw WireError(.malformed, "a request that ends within hops")
            }
            request.hops = hops
        }
        if options & hasCallers != 0 { request.callers = try readCallers(&body) }
        request.payload = body.readBytes(length: body.readableBytes) ?? []
        return (id, request)
    }

    private static func readCallers(_ body: inout ByteBuffer) throws(WireError) -> [GrainID] {
        guard let count = body.readInteger(as: UInt8.self), (1...GrainCallRequest.maximumCallers).contains(Int(count))
        else { throw WireError(.malformed, "a request with too many callers, or none") }
        var callers: [GrainID] = []
        for _ in 0..<count {
            guard let type = body.readShortText(1...100), let key = body.readText(1...GrainID.maximumKeyLength),
                let grain = try? GrainID(type: GrainType(type), key: key)
            else { throw WireError(.malformed, "a request with a caller that is no grain") }
            callers.append(grain)
        }
        return callers
    }

    package static func write(_ reply: GrainCallReply, id: UInt64, to buffer: inout ByteBuffer) {
        buffer.writeFrame(.reply) { body in
            body.writeMultipleIntegers(id, reply.version)
            body.writeBytes(reply.payload)
        }
    }

    package static func readReply(_ frame: Frame) throws(WireError) -> (id: UInt64, reply: GrainCallReply) {
        var body = frame.body
        guard let (id, version) = body.readMultipleIntegers(as: (UInt64, UInt64).self) else {
            throw WireError(.malformed, "a reply that cannot be read")
        }
        return (id, GrainCallReply(version: version, payload: body.readBytes(length: body.readableBytes) ?? []))
    }

    /// An error crosses without its cause: that is for the log of the node where it happened.
    package static func write(_ error: OrchestraError, id: UInt64, to buffer: inout ByteBuffer) {
        buffer.writeFrame(.error) { body in
            body.writeInteger(id)
            body.writeShortText(error.code.rawValue, limit: 64)
            body.writeText(error.message, limit: 4096)
            body.writeText(error.nextStep ?? "", limit: 1024)
        }
    }

    package static func readError(_ frame: Frame) throws(WireError) -> (id: UInt64, error: OrchestraError) {
        var body = frame.body
        guard let id = body.readInteger(as: UInt64.self), let code = body.readShortText(1...64),
            let message = body.readText(0...4096), let nextStep = body.readText(0...1024), body.readableBytes == 0
        else { throw WireError(.malformed, "an error that cannot be read") }
        return (
            id,
            OrchestraError(
                OrchestraError.Code(rawValue: code), message, nextStep: nextStep.isEmpty ? nil : nextStep)
        )
    }

    package static func writeCancel(id: UInt64, to buffer: inout ByteBuffer) {
        buffer.writeFrame(.cancel) { body in body.writeInteger(id) }
    }

    package static func readCancel(_ frame: Frame) throws(WireError) -> UInt64 {
        var body = frame.body
        guard let id = body.readInteger(as: UInt64.self), body.readableBytes == 0 else {
            throw WireError(.malformed, "a cancellation that cannot be read")
        }
        return id
    }

    private static func microseconds(_ timeLeft: Duration) -> UInt64 {
        guard timeLeft > .zero else { return 0 }
        let (seconds, attoseconds) = min(timeLeft, maximumTimeLeft).components
        return UInt64(seconds) * 1_000_000 + UInt64(attoseconds / 1_000_000_000_000)
    }

    private static func duration(microseconds: UInt64) -> Duration {
        microseconds >= 86_400_000_000 ? maximumTimeLeft : .microseconds(Int64(microseconds))
    }
}
