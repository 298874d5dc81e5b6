package import NIOCore

/// What a connection is for. Each pair of nodes has one connection for each of the first two.
package enum ConnectionPurpose: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// Messages of the membership protocol.
    case gossip = 1
    /// Grain calls.
    case calls = 2
    /// Only to see whether somebody answers; closed after the handshake.
    case probe = 3

    package var description: String {
        switch self {
        case .gossip: "gossip"
        case .calls: "calls"
        case .probe: "probe"
        }
    }
}

/// How a node introduces itself, the first frame in each direction.
///
/// Body, in network byte order: magic `ORCH`, lowest and highest protocol version (UInt16 each), role, purpose,
/// whether it has a cluster secret (UInt8 each), generation (Int64), nonce (32 bytes), cluster name, node id (UInt8
/// length and UTF-8 each), the host (the same; empty if nobody can dial this node) and port (UInt16) where others reach
/// it. Bytes after that are ignored, so a later version can say more; the proofs cover them.
package struct Hello: Sendable, Hashable {
    /// The protocol versions that this build speaks.
    package static let supportedVersions: ClosedRange<UInt16> = 1...1
    package static let nonceLength = 32
    private static let magic: UInt32 = 0x4F52_4348

    package var identity: NodeIdentity
    package var versions: ClosedRange<UInt16>
    package var purpose: ConnectionPurpose
    package var hasSecret: Bool
    /// Random, never used again.
    package var nonce: [UInt8]
    /// Where others reach this node, if anybody can.
    package var advertised: HostAndPort?

    package init(
        identity: NodeIdentity, versions: ClosedRange<UInt16> = Hello.supportedVersions, purpose: ConnectionPurpose,
        hasSecret: Bool = false, nonce: [UInt8], advertised: HostAndPort? = nil
    ) {
        precondition(nonce.count == Hello.nonceLength, "a nonce of \(nonce.count) bytes")
        self.identity = identity
        self.versions = versions
        self.purpose = purpose
        self.hasSecret = hasSecret
        self.nonce = nonce
        self.advertised = advertised
    }

    package func write(to buffer: inout ByteBuffer) {
        buffer.writeFrame(.hello) { body in write(body: &body) }
    }

    func write(body: inout ByteBuffer) {
        body.writeMultipleIntegers(
            Hello.magic, versions.lowerBound, versions.upperBound, identity.role.rawValue, purpose.rawValue,
            UInt8(hasSecret ? 1 : 0), identity.generation)
        body.writeBytes(nonce)
        body.writeShortText(identity.clusterName, limit: 100)
        body.writeShortText(identity.nodeID, limit: 200)
        body.writeShortText(advertised?.host ?? "", limit: 255)
        body.writeInteger(UInt16(clamping: advertised?.port ?? 0))
    }

    /// - Throws: ``WireError`` of kind `incompatible` if this is not an Orchestra peer, or one without a common
    ///   version, `malformed` if it is a bad one.
    package init(from frame: Frame, supported: ClosedRange<UInt16> = Hello.supportedVersions) throws(WireError) {
        var body = frame.body
        guard frame.kind == .hello,
            let (magic, low, high) = body.readMultipleIntegers(as: (UInt32, UInt16, UInt16).self),
            magic == Hello.magic
        else { throw WireError(.incompatible, "the peer did not introduce itself as a node of Orchestra") }
        // Only the magic and the versions are promised to stay: the rest is read if the versions overlap.
        guard low <= high else { throw WireError(.malformed, "the peer's hello cannot be read") }
        guard low <= supported.upperBound, high >= supported.lowerBound else {
            throw WireError(
                .incompatible,
                "the dialed or dialing peer speaks protocol versions \(low) to \(high), this node "
                    + "\(supported.lowerBound) to \(supported.upperBound)")
        }
        guard
            let (rawRole, rawPurpose, flags, generation) = body.readMultipleIntegers(
                as: (UInt8, UInt8, UInt8, Int64).self),
            let role = NodeRole(rawValue: rawRole), let purpose = ConnectionPurpose(rawValue: rawPurpose), flags <= 1,
            let nonce = body.readBytes(length: Hello.nonceLength),
            let clusterName = body.readShortText(1...100), let nodeID = body.readShortText(1...200),
            let host = body.readShortText(0...255), let port = body.readInteger(as: UInt16.self),
            host.isEmpty == (port == 0)
        else { throw WireError(.malformed, "the peer's hello cannot be read") }
        identity = NodeIdentity(clusterName: clusterName, nodeID: nodeID, generation: generation, role: role)
        versions = low...high
        self.purpose = purpose
        hasSecret = flags == 1
        self.nonce = nonce
        advertised = host.isEmpty ? nil : HostAndPort(host: host, port: Int(port))
    }

    /// Whether this node talks to that one.
    ///
    /// - Returns: the protocol version that both speak, the highest.
    /// - Throws: ``WireError`` of kind `incompatible`, `wrongCluster`, `wrongSecret` or `itself`, with both sides'
    ///   values.
    package func agree(with other: Hello) throws(WireError) -> UInt16 {
        let version = min(versions.upperBound, other.versions.upperBound)
        guard version >= max(versions.lowerBound, other.versions.lowerBound) else {
            throw WireError(
                .incompatible,
                "\(other.identity) speaks protocol versions \(other.versions.lowerBound) to "
                    + "\(other.versions.upperBound), \(identity) speaks \(versions.lowerBound) to "
                    + "\(versions.upperBound)")
        }
        guard identity.clusterName == other.identity.clusterName else {
            throw WireError(
                .wrongCluster,
                "cluster \"\(other.identity.clusterName)\" of \(other.identity) is not cluster "
                    + "\"\(identity.clusterName)\" of \(identity)")
        }
        guard hasSecret == other.hasSecret else {
            let (with, without) = hasSecret ? (identity, other.identity) : (other.identity, identity)
            throw WireError(.wrongSecret, "\(with) has a cluster secret and \(without) has none")
        }
        guard identity.nodeID != other.identity.nodeID || identity.generation != other.identity.generation else {
            throw WireError(.itself, "\(identity) dialed itself, or another node has its name and generation")
        }
        return version
    }
}

/// Why a node does not open a connection, said before it is closed. Body: the kind and the reason, as texts.
package struct Refusal: Sendable, Hashable {
    package var kind: WireError.Kind
    package var reason: String

    package init(_ error: WireError) {
        kind = error.kind
        reason = error.message
    }

    package func write(to buffer: inout ByteBuffer) {
        buffer.writeFrame(.refusal) { body in
            body.writeShortText(kind.rawValue, limit: 32)
            body.writeText(reason, limit: 900)
        }
    }

    package init(from frame: Frame) throws(WireError) {
        var body = frame.body
        guard frame.kind == .refusal, let kind = body.readShortText(1...32), let reason = body.readText(0...900) else {
            throw WireError(.malformed, "the peer's refusal cannot be read")
        }
        // A kind of a later version is still a refusal.
        self.kind = WireError.Kind(rawValue: kind) ?? .incompatible
        self.reason = reason
    }
}
