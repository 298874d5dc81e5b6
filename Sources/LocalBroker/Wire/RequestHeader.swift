import NIOCore

/// What precedes every request: header version 1, or 2 (with tagged fields) for flexible requests.
struct RequestHeader: Sendable, Hashable {
    var apiKey: Int16
    var apiVersion: Int16
    var correlationID: Int32
    var clientID: String?

    /// Reads the fixed part, from which alone follows how the rest is encoded.
    ///
    /// - Returns: nil if the frame is too short.
    static func peek(_ frame: ByteBuffer) -> (apiKey: Int16, apiVersion: Int16, correlationID: Int32)? {
        guard
            let fields = frame.getMultipleIntegers(at: frame.readerIndex, as: (Int16, Int16, Int32).self)
        else { return nil }
        return (fields.0, fields.1, fields.2)
    }

    /// Reads the whole header, leaving `wire` at the message's body.
    init(_ wire: inout WireCodec) throws(WireError) {
        apiKey = 0
        apiVersion = 0
        correlationID = 0
        try fields(&wire)
    }

    init(apiKey: Int16, apiVersion: Int16, correlationID: Int32, clientID: String?) {
        self.apiKey = apiKey
        self.apiVersion = apiVersion
        self.correlationID = correlationID
        self.clientID = clientID
    }

    mutating func fields(_ wire: inout WireCodec) throws(WireError) {
        try wire.int16(&apiKey)
        try wire.int16(&apiVersion)
        try wire.int32(&correlationID)
        try wire.nullableString(&clientID, compact: false)
        if wire.isFlexible { try wire.taggedFields() }
    }
}

enum ResponseFrame {
    /// A whole frame: length, response header, message.
    static func encode(
        _ response: some WireStructure, api: API, version: Int16, correlationID: Int32, sizeHint: Int = 256,
        allocator: ByteBufferAllocator
    ) throws(WireError) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: sizeHint + 16)
        buffer.writeInteger(Int32(0))
        buffer.writeInteger(correlationID)
        let isFlexible = api.isFlexible(version)
        var wire = WireCodec(writingTo: buffer, version: version, isFlexible: isFlexible)
        buffer = ByteBuffer()  // The codec is to be the only owner, else its first write would copy.
        if isFlexible, api.key != .apiVersions { try wire.taggedFields() }
        var message = response
        try wire.structure(&message)
        var frame = wire.takeBuffer()
        guard let length = Int32(exactly: frame.readableBytes - 4) else {
            throw WireError("the answer has \(frame.readableBytes) bytes, more than a frame can say")
        }
        frame.setInteger(length, at: frame.readerIndex)
        return frame
    }
}
