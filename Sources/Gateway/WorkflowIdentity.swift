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
        hexadecimal(SHA256.digest(of: Array(namespace.utf8) + [0] + Array(key.utf8)))
    }

    /// A new id: a UUID of version 7 (RFC 9562), so that ids sort by time.
    static func random(now: Timestamp, using random: inout some RandomNumberGenerator) -> String {
        let milliseconds = UInt64(clamping: now.millisecondsSinceEpoch) & 0xFFFF_FFFF_FFFF
        let high = milliseconds << 16 | 0x7000 | UInt64.random(in: 0...0x0FFF, using: &random)
        let low = UInt64.random(in: 0 ... .max, using: &random) >> 2 | 0x8000_0000_0000_0000
        let digits = Array(hexadecimal(bytes(of: high) + bytes(of: low)))
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }.joined(separator: "-")
    }

    /// SHA-256 of workflow, NUL, input: tells a repeated trigger from another one under the same key.
    static func digest(of request: TriggerRequest) -> String {
        hexadecimal(SHA256.digest(of: Array(request.workflow.utf8) + [0] + Array(request.input.utf8)))
    }

    /// - Throws: ``Problem`` 400 unless the key is 1 to 128 visible ASCII characters.
    static func check(key: String) throws(Problem) {
        guard (1...128).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Problem(
                .badRequest, "invalidArgument", "the Idempotency-Key has \(key.utf8.count) bytes or unusual characters",
                nextStep: "use 1 to 128 visible ASCII characters, a UUID for instance")
        }
    }

    static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func bytes(of number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
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
        traceID = TraceParent.digits(2, using: &random)
        spanID = TraceParent.digits(1, using: &random)
        flags = "00"
    }

    /// A span of this gateway within the trace.
    func child(using random: inout some RandomNumberGenerator) -> TraceParent {
        var child = self
        child.spanID = TraceParent.digits(1, using: &random)
        return child
    }

    var header: String { "00-\(traceID)-\(spanID)-\(flags)" }

    private static func digits(_ words: Int, using random: inout some RandomNumberGenerator) -> String {
        (0..<words).map { _ in
            let digits = String(UInt64.random(in: 1 ... .max, using: &random), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    private static func isHexadecimal(_ text: String, _ length: Int) -> Bool {
        text.utf8.count == length
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
