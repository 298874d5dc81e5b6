import NIOCore

// Kafka's wire format, after https://kafka.apache.org/protocol. A message is a struct whose one method `fields` names
// its fields in order, each with the versions that carry it. The same method reads and writes: a `WireCodec` in
// reading direction fills the fields, one in writing direction appends them, so a field list cannot disagree with itself.
//
// "Flexible" versions (KIP-482) write lengths as unsigned varints of length + 1 and end each structure with tagged
// fields. Unknown tagged fields are skipped; none are written.

/// A structure of the protocol: a message, or an element of an array in one.
protocol WireStructure: Sendable {
    init()
    /// Names the fields in wire order, reading into them or writing them, whichever way `wire` goes.
    mutating func fields(_ wire: inout WireCodec) throws(WireError)
}

/// A request message together with its API's number and versions.
protocol WireRequest: WireStructure {
    associatedtype Response: WireStructure
    static var api: API { get }
}

/// Why bytes are not the message that they claim to be.
struct WireError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Reads or writes the primitive types of one message in one version.
///
/// The primitives are kept out of line: a hundred field lists that each contain them cost minutes of compilation.
struct WireCodec {
    let version: Int16
    let isFlexible: Bool
    let isReading: Bool
    private(set) var buffer: ByteBuffer
    /// Elements that one message may still bring: a bound on how much memory a small hostile frame can claim.
    private var elementBudget = 500_000

    /// A codec that reads from `buffer`.
    init(reading buffer: ByteBuffer, version: Int16, isFlexible: Bool) {
        self.buffer = buffer
        self.version = version
        self.isFlexible = isFlexible
        isReading = true
    }

    /// A codec that appends to `buffer`.
    init(writingTo buffer: ByteBuffer, version: Int16, isFlexible: Bool) {
        self.buffer = buffer
        self.version = version
        self.isFlexible = isFlexible
        isReading = false
    }

    /// Gives up the buffer, so that its new owner can change it without copying.
    mutating func takeBuffer() -> ByteBuffer {
        defer { buffer = ByteBuffer() }
        return buffer
    }

    // MARK: Fixed-size fields

    @inline(never)
    mutating func int8(_ value: inout Int8, since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        try integer(&value, since, until)
    }

    @inline(never)
    mutating func int16(_ value: inout Int16, since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        try integer(&value, since, until)
    }

    @inline(never)
    mutating func int32(_ value: inout Int32, since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        try integer(&value, since, until)
    }

    @inline(never)
    mutating func int64(_ value: inout Int64, since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        try integer(&value, since, until)
    }

    @inline(never)
    mutating func bool(_ value: inout Bool, since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        var byte: Int8 = value ? 1 : 0
        try integer(&byte, since, until)
        if isReading, includes(since, until) { value = byte != 0 }
    }

    @inline(never)
    mutating func error(_ value: inout KafkaErrorCode, since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        var code = value.rawValue
        try integer(&code, since, until)
        if isReading, includes(since, until) { value = KafkaErrorCode(rawValue: code) }
    }

    @inline(never)
    mutating func topicID(_ value: inout TopicID, since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        try integer(&value.high, since, until)
        try integer(&value.low, since, until)
    }

    private func includes(_ since: Int16, _ until: Int16) -> Bool { version >= since && version <= until }

    private mutating func integer<T: FixedWidthInteger>(
        _ value: inout T, _ since: Int16, _ until: Int16
    ) throws(WireError) {
        guard includes(since, until) else { return }
        if isReading {
            guard let read = buffer.readInteger(as: T.self) else { throw cut(T.self) }
            value = read
        } else {
            buffer.writeInteger(value)
        }
    }

    private func cut(_ what: Any.Type) -> WireError {
        WireError("the message ends within a field (\(what)); \(buffer.readableBytes) bytes are left")
    }

    // MARK: Strings and bytes

    @inline(never)
    mutating func string(_ value: inout String, since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        guard includes(since, until) else { return }
        var optional: String? = value
        try nullableString(&optional)
        guard let present = optional else { throw WireError("a null stands where a string is required") }
        if isReading { value = present }
    }

    @inline(never)
    mutating func nullableString(
        _ value: inout String?, since: Int16 = 0, until: Int16 = .max
    ) throws(WireError) {
        guard includes(since, until) else { return }
        try nullableString(&value, compact: isFlexible)
    }

    /// A nullable string in the given encoding, for the request header, whose client id is never compact.
    @inline(never)
    mutating func nullableString(_ value: inout String?, compact: Bool) throws(WireError) {
        if isReading {
            let length: Int
            if compact {
                length = try readCompactLength()
            } else {
                var short: Int16 = 0
                try integer(&short, 0, .max)
                length = Int(short)
            }
            guard length >= 0 else {
                value = nil
                return
            }
            guard length <= buffer.readableBytes else { throw cut(String.self) }
            do {
                value = try buffer.readUTF8ValidatedString(length: length)
            } catch {
                throw WireError("a string is not valid UTF-8")
            }
        } else if let value {
            if compact {
                writeUnsignedVarint(UInt64(value.utf8.count) + 1)
            } else {
                guard value.utf8.count <= Int(Int16.max) else { throw WireError("a string is too long to be written") }
                buffer.writeInteger(Int16(value.utf8.count))
            }
            buffer.writeString(value)
        } else if compact {
            writeUnsignedVarint(0)
        } else {
            buffer.writeInteger(Int16(-1))
        }
    }

    @inline(never)
    mutating func bytes(_ value: inout [UInt8], since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        guard includes(since, until) else { return }
        if isReading {
            let length = try readLength()
            guard length >= 0 else {  // Some clients send null for "nothing".
                value = []
                return
            }
            guard let read = buffer.readBytes(length: length) else { throw cut([UInt8].self) }
            value = read
        } else {
            writeLength(value.count)
            buffer.writeBytes(value)
        }
    }

    /// Record batches: on reading a slice of the request's own buffer, on writing the concatenated batches.
    @inline(never)
    mutating func records(_ value: inout Records) throws(WireError) {
        if isReading {
            let length = try readLength()
            guard length >= 0 else {
                value = .null
                return
            }
            guard let slice = buffer.readSlice(length: length) else { throw cut(Records.self) }
            value = .slice(slice)
        } else {
            switch value {
            case .null:
                writeLength(-1)
            case .slice(var slice):
                writeLength(slice.readableBytes)
                buffer.writeBuffer(&slice)
            case .batches(let batches):
                writeLength(batches.reduce(0) { $0 + $1.count })
                for batch in batches { buffer.writeBytes(batch) }
            }
        }
    }

    // MARK: Arrays and structures

    @inline(never)
    mutating func array<Element: WireStructure>(
        _ value: inout [Element], since: Int16 = 0, until: Int16 = .max
    ) throws(WireError) {
        guard includes(since, until) else { return }
        var optional: [Element]? = value
        try nullableArray(&optional)
        if isReading { value = optional ?? [] }
    }

    @inline(never)
    mutating func nullableArray<Element: WireStructure>(
        _ value: inout [Element]?, since: Int16 = 0, until: Int16 = .max
    ) throws(WireError) {
        guard includes(since, until) else { return }
        try elements(
            &value, blank: Element(), each: { wire, element throws(WireError) in try wire.structure(&element) })
    }

    /// An array of anything: its count (-1 for null), then its elements.
    private mutating func elements<Element>(
        _ value: inout [Element]?, blank: @autoclosure () -> Element,
        each: (inout WireCodec, inout Element) throws(WireError) -> Void
    ) throws(WireError) {
        if isReading {
            guard let count = try readCount() else {
                value = nil
                return
            }
            var elements: [Element] = []
            elements.reserveCapacity(min(count, 256))
            for _ in 0..<count {
                var element = blank()
                try each(&self, &element)
                elements.append(element)
            }
            value = elements
        } else if let value {
            writeLength(value.count)
            for element in value {
                var copy = element
                try each(&self, &copy)
            }
        } else {
            writeLength(-1)
        }
    }

    @inline(never)
    mutating func int32Array(_ value: inout [Int32], since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        guard includes(since, until) else { return }
        var optional: [Int32]? = value
        try elements(&optional, blank: 0, each: { wire, element throws(WireError) in try wire.int32(&element) })
        if isReading { value = optional ?? [] }
    }

    @inline(never)
    mutating func int64Array(_ value: inout [Int64], since: Int16 = 0, until: Int16 = .max) throws(WireError) {
        guard includes(since, until) else { return }
        var optional: [Int64]? = value
        try elements(&optional, blank: 0, each: { wire, element throws(WireError) in try wire.int64(&element) })
        if isReading { value = optional ?? [] }
    }

    @inline(never)
    mutating func stringArray(
        _ value: inout [String], since: Int16 = 0, until: Int16 = .max
    ) throws(WireError) {
        var optional: [String]? = value
        try nullableStringArray(&optional, since: since, until: until)
        if isReading, includes(since, until) { value = optional ?? [] }
    }

    @inline(never)
    mutating func nullableStringArray(
        _ value: inout [String]?, since: Int16 = 0, until: Int16 = .max
    ) throws(WireError) {
        guard includes(since, until) else { return }
        try elements(&value, blank: "", each: { wire, element throws(WireError) in try wire.string(&element) })
    }

    /// A structure: its fields, then in flexible versions its tagged fields.
    @inline(never)
    mutating func structure<Value: WireStructure>(_ value: inout Value) throws(WireError) {
        try value.fields(&self)
        if isFlexible { try taggedFields() }
    }

    /// Skips the tagged fields that a peer sends; writes that there are none.
    @inline(never)
    mutating func taggedFields() throws(WireError) {
        guard isReading else {
            writeUnsignedVarint(0)
            return
        }
        for _ in 0..<(try readUnsignedVarint()) {
            _ = try readUnsignedVarint()
            let size = try readUnsignedVarint()
            guard size <= UInt64(buffer.readableBytes) else { throw cut(WireCodec.self) }
            buffer.moveReaderIndex(forwardBy: Int(size))
        }
    }

    // MARK: Lengths

    private mutating func readCount() throws(WireError) -> Int? {
        let count = try readLength()
        guard count >= 0 else { return nil }
        // Every element of every array takes at least one byte.
        guard count <= buffer.readableBytes, count <= elementBudget else {
            throw WireError("an array claims \(count) elements; \(buffer.readableBytes) bytes are left")
        }
        elementBudget -= count
        return count
    }

    private mutating func readLength() throws(WireError) -> Int {
        if isFlexible { return try readCompactLength() }
        var length: Int32 = 0
        try integer(&length, 0, .max)
        return Int(length)
    }

    private mutating func readCompactLength() throws(WireError) -> Int {
        let value = try readUnsignedVarint()
        guard value <= UInt64(Int32.max) else { throw WireError("a length of \(value) is out of range") }
        return Int(value) - 1
    }

    private mutating func writeLength(_ length: Int) {
        if isFlexible {
            writeUnsignedVarint(UInt64(length + 1))
        } else {
            buffer.writeInteger(Int32(length))
        }
    }

    private mutating func readUnsignedVarint() throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 28, by: 7) {
            guard let byte = buffer.readInteger(as: UInt8.self) else { throw cut(UInt64.self) }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw WireError("a varint is longer than five bytes")
    }

    private mutating func writeUnsignedVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            buffer.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        buffer.writeInteger(UInt8(rest))
    }
}

/// The record batches of a produce request or a fetch response.
enum Records: Sendable {
    case null
    /// The bytes as they came, sharing storage with the message that they were read from.
    case slice(ByteBuffer)
    /// Whole batches, written one after another.
    case batches([[UInt8]])

    var byteCount: Int {
        switch self {
        case .null: 0
        case .slice(let slice): slice.readableBytes
        case .batches(let batches): batches.reduce(0) { $0 + $1.count }
        }
    }
}

/// The 128-bit id of a topic, which a topic of the same name made later does not share.
struct TopicID: Hashable, Sendable {
    var high: UInt64
    var low: UInt64

    static let zero = TopicID(high: 0, low: 0)

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}
