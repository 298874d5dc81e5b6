import Digest
import HTTPTypes
import OrchestraCore

/// How workflow ids and digests are made.
enum WorkflowIdentity {
    /// Part of every id that is made from a key; changing it would forget all keys.
    private static let namespace = "orchestra/workflow-id/1"

    /// The id of the workflow that an idempotency key stands for: the same at every gateway, for ever.
    ///
    /// - Returns: SHA-256 of the namespace, NUL and the key, as 64 lower-case hexadecimal digits.
    static func id(forKey key: String) -> String {
        Hexadecimal.text(of: SHA256.digest(of: Array(namespace.utf8) + [0] + Array(key.utf8)))
    }

    /// A new id: a UUID of version 7 (RFC 9562), so that ids sort by time.
    ///
    /// - Parameter partition: where it should lie, of `count` partitions. It does, unless there are hundreds of them.
    static func random(
        now: Timestamp, in partition: Int32, of count: Int32, using random: inout some RandomNumberGenerator
    ) -> String {
        let milliseconds = UInt64(clamping: now.millisecondsSinceEpoch) & 0xFFFF_FFFF_FFFF
        let high = milliseconds << 16 | 0x7000 | UInt64.random(in: 0...0x0FFF, using: &random)
        let low = UInt64.random(in: 0 ... .max, using: &random) >> 2 | 0x8000_0000_0000_0000
        var digits = Array((Hexadecimal.text(of: high) + Hexadecimal.text(of: low)).utf8)
        for place in [20, 16, 12, 8] { digits.insert(UInt8(ascii: "-"), at: place) }
        // Whether an id lies there is one chance in `count`; its last digits are tried one after the other.
        var (tail, attempts) = (UInt16(truncatingIfNeeded: low), 0)
        while OrchestraCore.partition(forKey: digits, count: count) != partition, attempts < 256 {
            tail &+= 1
            attempts += 1
            for place in 0..<4 {
                digits[35 - place] = Hexadecimal.digit(UInt8(truncatingIfNeeded: tail >> (4 * place)) & 15)
            }
        }
        return String(decoding: digits, as: UTF8.self)
    }

    /// SHA-256 of workflow, NUL, input: tells a repeated trigger from another one under the same key.
    static func digest(of request: TriggerRequest) -> String {
        Hexadecimal.text(of: SHA256.digest(of: Array(request.workflow.utf8) + [0] + Array(request.input.utf8)))
    }

    /// - Throws: ``Problem`` 400 unless the key is 1 to 128 visible ASCII characters.
    static func check(key: String) throws(Problem) {
        guard (1...128).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Problem(
                .badRequest, "invalidArgument", "the Idempotency-Key has \(key.utf8.count) bytes or unusual characters",
                nextStep: "use 1 to 128 visible ASCII characters, a UUID for instance")
        }
    }
}

/// A W3C trace context, version 00: which trace a request belongs to.
struct TraceParent: Sendable, Hashable {
    var traceID: String
    var spanID: String
    var flags: String

    /// A caller's header; `nil` if it is not one, as the recommendation asks.
    init?(_ header: String) {
        let parts = header.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 4, parts[0] == "00" ? parts.count == 4 : parts[0] != "ff" && parts[0].count == 2,
            TraceParent.isHexadecimal(parts[0], 2), TraceParent.isHexadecimal(parts[1], 32),
            TraceParent.isHexadecimal(parts[2], 16), TraceParent.isHexadecimal(parts[3], 2),
            parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" })
        else { return nil }
        (traceID, spanID, flags) = (parts[1], parts[2], parts[3])
    }

    /// A trace that begins here, not sampled by anybody yet.
    init(using random: inout some RandomNumberGenerator) {
        traceID = TraceParent.word(using: &random) + TraceParent.word(using: &random)
        spanID = TraceParent.word(using: &random)
        flags = "00"
    }

    /// A span of this gateway within the trace.
    func child(using random: inout some RandomNumberGenerator) -> TraceParent {
        var child = self
        child.spanID = TraceParent.word(using: &random)
        return child
    }

    var header: String { "00-\(traceID)-\(spanID)-\(flags)" }

    /// Sixteen digits, not all of them zero.
    private static func word(using random: inout some RandomNumberGenerator) -> String {
        Hexadecimal.text(of: UInt64.random(in: 1 ... .max, using: &random))
    }

    private static func isHexadecimal(_ text: String, _ length: Int) -> Bool {
        text.utf8.count == length
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
