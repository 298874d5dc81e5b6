import Digest
package import NIOCore

/// What all nodes of a cluster know and nobody else. It never crosses the wire and is never printed.
package struct ClusterSecret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Shorter ones are guessed.
    package static let minimumLength = 16

    /// Which side of a connection a proof comes from; the same transcript gives each its own.
    package enum Prover: String {
        case dialer, listener
    }

    private let key: [UInt8]

    /// - Parameter text: the secret, at least ``minimumLength`` bytes of UTF-8; `nil` for a shorter one.
    package init?(_ text: String) {
        guard text.utf8.count >= ClusterSecret.minimumLength else { return nil }
        key = Array(text.utf8)
    }

    package var description: String { "(secret)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// HMAC-SHA256 over the prover's side and the transcript.
    package func proof(of prover: Prover, _ transcript: ByteBuffer) -> [UInt8] {
        HMACSHA256.code(for: message(prover, transcript), key: key)
    }

    /// Takes the same time for every wrong proof.
    package func isValid(_ proof: [UInt8], of prover: Prover, _ transcript: ByteBuffer) -> Bool {
        HMACSHA256.isValid(proof, for: message(prover, transcript), key: key)
    }

    private func message(_ prover: Prover, _ transcript: ByteBuffer) -> [UInt8] {
        var message = ByteBuffer()
        message.writeShortText("orchestra \(prover.rawValue)")
        message.writeImmutableBuffer(transcript)
        return Array(message.readableBytesView)
    }
}
