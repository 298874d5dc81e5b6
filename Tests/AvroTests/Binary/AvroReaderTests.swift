import Avro
import Testing

@Suite struct AvroReaderTests {
    private func error(_ bytes: [UInt8], _ read: (inout AvroReader) throws -> Void) -> AvroError.Code? {
        var reader = AvroReader(bytes)
        do {
            try read(&reader)
            return nil
        } catch {
            return (error as? AvroError)?.code
        }
    }

    /// The specification's examples of variable-length zig-zag numbers, and the ends of the ranges.
    @Test(
        arguments: [
            (0, [0x00]), (-1, [0x01]), (1, [0x02]), (-64, [0x7f]), (64, [0x80, 0x01]), (8192, [0x80, 0x80, 0x01]),
            (Int64.max, [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            (Int64.min, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ] as [(Int64, [UInt8])])
    func numbers(value: Int64, bytes: [UInt8]) throws {
        var writer = AvroWriter()
        writer.writeLong(value)
        #expect(writer.bytes == bytes)
        var reader = AvroReader(bytes)
        #expect(try reader.readLong() == value)
        try reader.finish()
    }

    @Test func numbersOutOfRange() {
        #expect(error([UInt8](repeating: 0xff, count: 10)) { _ = try $0.readLong() } == .malformed)
        #expect(error([UInt8](repeating: 0x80, count: 9) + [0x02]) { _ = try $0.readLong() } == .malformed)
        #expect(error([0x80]) { _ = try $0.readLong() } == .endOfData)
        #expect(error([0x80, 0x80, 0x80, 0x80, 0x10]) { _ = try $0.readInt() } == .malformed)
    }

    @Test func lengthsAreCheckedBeforeAnythingIsAllocated() {
        let huge: [UInt8] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        #expect(error(huge) { _ = try $0.readString() } == .endOfData)
        #expect(error(huge) { _ = try $0.readBytes() } == .endOfData)
        #expect(error([0x01]) { _ = try $0.readBytes() } == .malformed)
        #expect(error([0x00, 0x00]) { _ = try $0.readFixed(size: 3) } == .endOfData)
        #expect(error(huge) { _ = try $0.readArray { reader throws(AvroError) in try reader.readInt() } } == .endOfData)
        #expect(error(huge) { _ = try $0.readArray { _ throws(AvroError) in 0 } } == .limitExceeded)
    }

    @Test func textMustBeUTF8() throws {
        #expect(error([0x02, 0xff]) { _ = try $0.readString() } == .invalidUTF8)
        #expect(error([0x04, 0xc0, 0x80]) { _ = try $0.readString() } == .invalidUTF8)
        #expect(error([0x06, 0xed, 0xa0, 0x80]) { _ = try $0.readString() } == .invalidUTF8)
        var reader = AvroReader([0x02, 0x00])
        #expect(try reader.readString() == "\0")
    }

    @Test func booleansAndIndices() {
        #expect(error([0x02]) { _ = try $0.readBoolean() } == .malformed)
        #expect(error([0x04]) { _ = try $0.readEnumeration(count: 2) } == .malformed)
        #expect(error([0x01]) { _ = try $0.readBranch(count: 2) } == .malformed)
    }

    /// Blocks may come in pieces, and with their size in bytes behind a negative count.
    @Test func blocks() throws {
        var reader = AvroReader([0x02, 0x02, 0x03, 0x04, 0x04, 0x06, 0x00])
        #expect(try reader.readArray { reader throws(AvroError) in try reader.readInt() } == [1, 2, 3])
        try reader.finish()
        #expect(
            error([0x03, 0x02, 0x04, 0x06, 0x00]) {
                _ = try $0.readArray { reader throws(AvroError) in try reader.readInt() }
            } == .malformed)
        let minimum: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        #expect(error(minimum + [0x00]) { _ = try $0.readArray { _ throws(AvroError) in 0 } } == .malformed)
    }

    @Test func bytesLeftOver() {
        let error = #expect(throws: AvroError.self) { try AvroReader([0x00]).finish() }
        #expect(error?.code == .trailingBytes)
    }

    /// Data cannot nest deeper than the bound, however it is read.
    @Test func nestingIsBounded() throws {
        let schema = try AvroSchema(
            parsing: #"{"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}"#)
        let shallow = [UInt8](repeating: 2, count: 60) + [0]
        #expect(try schema.encode(schema.decode(shallow)) == shallow)
        let error = #expect(throws: AvroError.self) { try schema.decode([UInt8](repeating: 2, count: 100_000) + [0]) }
        #expect(error?.code == .limitExceeded)
    }

    @Test func emptyElementsAreBounded() throws {
        let schema = try AvroSchema(parsing: #"{"type": "array", "items": "null"}"#)
        var writer = AvroWriter()
        writer.writeLong(1 << 40)
        let error = #expect(throws: AvroError.self) { try schema.decode(writer.bytes + [0]) }
        #expect(error?.code == .limitExceeded)
        #expect(try schema.decode([20, 0]) == .array([AvroValue](repeating: .null, count: 10)))
    }

    @Test func fixedOfTheWrongSize() {
        var writer = AvroWriter()
        writer.writeFixed([1, 2, 3], size: 4)
        let error = #expect(throws: AvroError.self) { try writer.finish() }
        #expect(error?.code == .malformed)
    }

    /// A key that occurs twice is refused however it is read; avro-c would put the two arrays together.
    @Test func repeatedMapKeys() throws {
        let bytes: [UInt8] = [4, 2, 0x61, 2, 6, 0, 2, 0x61, 2, 8, 0, 0]
        let code = error(bytes) {
            _ = try $0.readMap { reader throws(AvroError) in
                try reader.readArray { reader throws(AvroError) in try reader.readInt() }
            }
        }
        #expect(code == .malformed)
        let schema = try AvroSchema(parsing: #"{"type": "map", "values": {"type": "array", "items": "int"}}"#)
        #expect(throws: AvroError.self) { try schema.decode(bytes) }
        #expect(throws: AvroError.self) { try schema.decode([2, 2, 0, 0, 0]) }
    }
}
