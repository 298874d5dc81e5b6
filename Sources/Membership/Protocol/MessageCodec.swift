/// The bytes of a ``Message``: compact, versioned, checked.
///
/// ```
/// version (1) · kind (1) · generation (varint) · digest (8) · news count (varint) · news … · body
/// ```
///
/// Integers are little-endian or LEB128; texts have a length byte. A reader takes exactly the bytes of one message:
/// whatever ends early, goes on too long or holds a value that is not allowed throws, and allocates no more than in
/// proportion to the bytes given.
package enum MessageCodec {
    package static let version: UInt8 = 1
    /// The largest message that is read, in bytes.
    package static let maximumLength = 256 * 1024
    /// Larger generations are refused, so that a node can always take the next one.
    package static let maximumGeneration: UInt64 = 1 << 62
    static let maximumAccusations = 8
    static let maximumLabels = 16

    package static func encode(_ message: Message) -> [UInt8] {
        var writer = ByteWriter()
        writer.byte(version)
        writer.byte(message.body.kind)
        writer.variable(message.generation)
        writer.fixed(message.digest)
        writer.variable(UInt64(message.news.count))
        for news in message.news { writer.news(news) }
        writer.body(message.body)
        return writer.bytes
    }

    /// - Throws: ``CodecError`` for anything that `encode` does not make.
    package static func decode(_ bytes: [UInt8]) throws(CodecError) -> Message {
        let result: Result<Message, CodecError> = bytes.withUnsafeBytes { buffer in
            do throws(CodecError) { return .success(try decode(buffer)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// - Throws: ``CodecError`` for anything that `encode` does not make.
    package static func decode(_ bytes: UnsafeRawBufferPointer) throws(CodecError) -> Message {
        guard bytes.count <= maximumLength else {
            throw CodecError(.tooLarge, "a message of \(bytes.count) bytes; \(maximumLength) are allowed")
        }
        var reader = ByteReader(bytes)
        let theirs = try reader.byte()
        guard theirs == version else { throw CodecError(.version, "version \(theirs); this node speaks \(version)") }
        let kind = try reader.byte()
        let generation = try reader.generation()
        let digest = try reader.uint64()
        let count = try reader.count(ofAtLeast: 5, limit: 4096)
        var news: [News] = []
        for _ in 0..<count { news.append(try reader.news()) }
        let body = try reader.body(kind)
        guard reader.remaining == 0 else {
            throw CodecError(.trailing, "\(reader.remaining) bytes after a message of kind \(kind)")
        }
        return Message(generation: generation, digest: digest, news: news, body: body)
    }

    /// How many bytes `encode` would make of one piece of news.
    static func size(of news: News) -> Int {
        1 + size(of: news.record) + 4 * min(maximumAccusations, news.accusations.count)
    }

    static func size(of record: MemberRecord) -> Int {
        var size = 2 + record.id.name.utf8.count + ByteWriter.size(ofVariable: record.generation)
        size += ByteWriter.size(ofVariable: UInt64(record.incarnation))
        guard let description = record.description else { return size }
        size += 10 + description.address.host.utf8.count
        for label in description.labels { size += 2 + label.name.utf8.count + label.value.utf8.count }
        return size
    }
}

extension Message.Body {
    fileprivate var kind: UInt8 {
        switch self {
        case .ping: 1
        case .ack: 2
        case .pingRequest: 3
        case .pingReport: 4
        case .gossip: 5
        case .syncOffer: 6
        case .syncDigests: 7
        case .syncExchange: 8
        case .syncReply: 9
        case .refused: 10
        }
    }
}

extension ByteWriter {
    fileprivate mutating func news(_ news: News) {
        record(news.record)
        let accusations = news.accusations.prefix(MessageCodec.maximumAccusations)
        byte(UInt8(accusations.count))
        for accusation in accusations { fixed(accusation.bits) }
    }

    /// The status shares a byte with whether a description follows.
    fileprivate mutating func record(_ record: MemberRecord) {
        byte(record.status.rawValue | (record.description == nil ? 0 : 0x80))
        text(record.id.name)
        variable(record.generation)
        variable(UInt64(record.incarnation))
        if let description = record.description { self.description(description) }
    }

    private mutating func description(_ description: MemberDescription) {
        byte(description.role.rawValue)
        text(description.address.host)
        fixed(description.address.port)
        byte(description.protocolVersions.lowerBound)
        byte(description.protocolVersions.upperBound)
        fixed(description.weight)
        byte(description.load)
        let labels = description.labels.prefix(MessageCodec.maximumLabels)
        byte(UInt8(labels.count))
        for label in labels {
            text(label.name)
            text(label.value)
        }
    }

    fileprivate mutating func body(_ body: Message.Body) {
        switch body {
        case .ping(let sequence), .ack(let sequence): fixed(sequence)
        case .pingRequest(let sequence, let subject):
            fixed(sequence)
            text(subject.name)
        case .pingReport(let sequence, let answered):
            fixed(sequence)
            byte(answered ? 1 : 0)
        case .gossip: break
        case .syncOffer(let count): fixed(count)
        case .syncDigests(let count, let digests):
            fixed(count)
            variable(UInt64(digests.count))
            for digest in digests { fixed(digest) }
        case .syncExchange(let buckets, let records), .syncReply(let buckets, let records):
            variable(UInt64(buckets.count))
            for bucket in buckets { byte(bucket) }
            variable(UInt64(records.count))
            for record in records { self.record(record) }
        case .refused(let generation): variable(generation)
        }
    }
}

extension ByteReader {
    fileprivate mutating func news() throws(CodecError) -> News {
        let record = try record()
        let count = Int(try byte())
        guard count <= MessageCodec.maximumAccusations else { throw CodecError(.tooLarge, "\(count) accusations") }
        var accusations: [Accusation] = []
        for _ in 0..<count { accusations.append(Accusation(bits: try uint32())) }
        return News(record: record, accusations: accusations)
    }

    fileprivate mutating func record() throws(CodecError) -> MemberRecord {
        let tag = try byte()
        guard let status = MemberStatus(rawValue: tag & 0x7f) else {
            throw CodecError(.malformed, "status \(tag & 0x7f)")
        }
        let id = NodeID(try text())
        let generation = try generation()
        let incarnation = try variable32()
        let description = tag & 0x80 == 0 ? nil : try description()
        guard description != nil || status != .alive else {
            throw CodecError(.malformed, "\(id) is alive but has no description")
        }
        return MemberRecord(
            id: id, generation: generation, incarnation: incarnation, status: status, description: description)
    }

    private mutating func description() throws(CodecError) -> MemberDescription {
        let rawRole = try byte()
        guard let role = MemberRole(rawValue: rawRole) else { throw CodecError(.malformed, "role \(rawRole)") }
        let address = NodeAddress(host: try text(), port: try uint16())
        let oldest = try byte()
        let newest = try byte()
        guard oldest <= newest else { throw CodecError(.malformed, "versions \(oldest) to \(newest)") }
        let weight = try uint16()
        let load = try byte()
        let count = Int(try byte())
        guard count <= MessageCodec.maximumLabels else { throw CodecError(.tooLarge, "\(count) labels") }
        var labels: [MemberDescription.Label] = []
        for _ in 0..<count {
            labels.append(.init(name: try text(allowEmpty: true), value: try text(allowEmpty: true)))
        }
        return MemberDescription(
            role: role, address: address, protocolVersions: oldest...newest, weight: weight, load: load, labels: labels)
    }

    fileprivate mutating func body(_ kind: UInt8) throws(CodecError) -> Message.Body {
        switch kind {
        case 1: return .ping(sequence: try uint32())
        case 2: return .ack(sequence: try uint32())
        case 3: return .pingRequest(sequence: try uint32(), subject: NodeID(try text()))
        case 4:
            let sequence = try uint32()
            let answered = try byte()
            guard answered <= 1 else { throw CodecError(.malformed, "\(answered) for yes or no") }
            return .pingReport(sequence: sequence, answered: answered == 1)
        case 5: return .gossip
        case 6: return .syncOffer(count: try uint32())
        case 7: return try digests()
        case 8:
            let (buckets, records) = try bucketsAndRecords()
            return .syncExchange(buckets: buckets, records: records)
        case 9:
            let (buckets, records) = try bucketsAndRecords()
            return .syncReply(buckets: buckets, records: records)
        case 10: return .refused(generation: try generation())
        default: throw CodecError(.malformed, "kind \(kind)")
        }
    }

    private mutating func digests() throws(CodecError) -> Message.Body {
        let total = try uint32()
        let count = try count(ofAtLeast: 4, limit: MemberTable.bucketCount)
        guard count == 0 || count == MemberTable.bucketCount else {
            throw CodecError(.malformed, "\(count) digests; none or \(MemberTable.bucketCount) are expected")
        }
        var digests: [UInt32] = []
        for _ in 0..<count { digests.append(try uint32()) }
        return .syncDigests(count: total, digests: digests)
    }

    private mutating func bucketsAndRecords() throws(CodecError) -> ([UInt8], [MemberRecord]) {
        let bucketCount = try count(ofAtLeast: 1, limit: MemberTable.bucketCount)
        var buckets: [UInt8] = []
        for _ in 0..<bucketCount { buckets.append(try byte()) }
        let recordCount = try count(ofAtLeast: 4, limit: 65_536)
        var records: [MemberRecord] = []
        for _ in 0..<recordCount { records.append(try record()) }
        return (buckets, records)
    }
}
