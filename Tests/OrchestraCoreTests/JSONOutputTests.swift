import OrchestraCore
import Testing

@Suite struct JSONOutputTests {
    private func text(_ value: JSONOutput) -> String { String(decoding: value.encoded(), as: UTF8.self) }

    @Test func stringsAreEscaped() {
        #expect(text(.string("a\"\\\n\r\t\u{0}\u{1F}é🎻/")) == #""a\"\\\n\r\t\u0000\u001fé🎻/""#)
        #expect(text(.string("")) == #""""#)
        #expect(text(.object([("\"", .null)])) == #"{"\"":null}"#)
    }

    @Test func membersKeepTheirOrder() {
        let value = JSONOutput.object([
            ("z", .array([.null, .bool(true), .bool(false), .integer(-1)])), ("a", .object([])), ("m", .array([])),
        ])
        #expect(text(value) == #"{"z":[null,true,false,-1],"a":{},"m":[]}"#)
    }

    @Test func timesAreRFC3339() {
        #expect(text(.time(nil)) == "null")
        #expect(text(.time(Timestamp(millisecondsSinceEpoch: 0))) == #""1970-01-01T00:00:00.000Z""#)
        #expect(Timestamp(millisecondsSinceEpoch: 951_782_399_999).rfc3339 == "2000-02-28T23:59:59.999Z")
        #expect(Timestamp(millisecondsSinceEpoch: 1_795_355_400_123).rfc3339 == "2026-11-22T13:50:00.123Z")
        #expect(Timestamp(millisecondsSinceEpoch: -1).rfc3339 == "1969-12-31T23:59:59.999Z")
        #expect(Timestamp(millisecondsSinceEpoch: 4_107_542_400_000).rfc3339 == "2100-03-01T00:00:00.000Z")
    }

    @Test func digitsAreLowerCase() {
        #expect(Hexadecimal.text(of: [0, 0x0A, 0xF9, 0xFF]) == "000af9ff")
        #expect(Hexadecimal.text(of: 0x0123_4567_89AB_CDEF) == "0123456789abcdef")
        #expect(Hexadecimal.text(of: 1 as UInt64) == "0000000000000001")
    }
}
