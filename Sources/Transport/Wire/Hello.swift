package import NIOCore

/// How two nodes introduce themselves: the caller's hello first, then the server's own or a ``Refusal``.
///
/// Body, in network byte order: magic `ORCH`, lowest and highest protocol version (UInt16 each), role (UInt8),
/// generation (Int64), cluster name and node id (UInt8 length and UTF-8 each). Bytes after that are ignored, so a
/// later version can say more.
package struct Hello: Sendable, Hashable {
    /// The protocol versions that this build speaks.
    package static let supportedVersions: ClosedRange<UInt16> = 1...1
    private static let magic: UInt32 = 0x4F52_4348

    package var identity: NodeIdentity
    package var versions: ClosedRange<UInt16>

    package init(identity: NodeIdentity, versions: ClosedRange<UInt16> = Hello.supportedVersions) {
        self.identity = identity
        self.versions = versions
    }

    package func write(to buffer: inout ByteBuffer) {
        buffer.writeFrame(.hello) { body in
            body.writeMultipleIntegers(
                Hello.magic, versions.lowerBound, versions.upperBound, identity.role.rawValue, identity.generation)
            body.writeShortText(identity.clusterName, limit: 100)
            body.writeShortText(identity.nodeID, limit: 200)
        }
    }

    /// - Throws: ``WireError`` of kind `incompatible` if this is not an Orchestra peer, `malformed` if it is a bad one.
    package init(from frame: Frame) throws(WireError) {
        var body = frame.body
        guard frame.kind == .hello,
            let (magic, low, high, role, generation) = body.readMultipleIntegers(
                as: (UInt32, UInt16, UInt16, UInt8, Int64).self),
            magic == Hello.magic
        else { throw WireError(.incompatible, "the peer did not introduce itself as a node of Orchestra") }
        guard low <= high, let role = NodeRole(rawValue: role),
            let clusterName = body.readShortText(1...100), let nodeID = body.readShortText(1...200)
        else { throw WireError(.malformed, "the peer's hello cannot be read") }
        identity = NodeIdentity(clusterName: clusterName, nodeID: nodeID, generation: generation, role: role)
        versions = low...high
    }

    /// Whether this node talks to that one.
    ///
    /// - Returns: the protocol version that both speak, the highest.
    /// - Throws: ``WireError`` of kind `wrongCluster` or `incompatible`, with both sides' values.
    package func agree(with other: Hello) throws(WireError) -> UInt16 {
        guard identity.clusterName == other.identity.clusterName else {
            throw WireError(
                .wrongCluster,
                "cluster \"\(other.identity.clusterName)\" of \(other.identity) is not cluster "
                    + "\"\(identity.clusterName)\" of \(identity)")
        }
        let version = min(versions.upperBound, other.versions.upperBound)
        guard version >= max(versions.lowerBound, other.versions.lowerBound) else {
            throw WireError(
                .incompatible,
                "\(other.identity) speaks protocol versions \(other.versions.lowerBound) to "
                    + "\(other.versions.upperBound), \(identity) speaks \(versions.lowerBound) to "
                    + "\(versions.upperBound)")
        }
        return version
    }
}

/// Why a server does not talk to a caller, said before the connection is closed.
package struct Refusal: Sendable, Hashable {
    package var reason: String

    package init(reason: String) {
        self.reason = reason
    }

    package func write(to buffer: inout ByteBuffer) {
        buffer.writeFrame(.refusal) { body in body.writeText(reason, limit: 900) }
    }

    package init(from frame: Frame) throws(WireError) {
        var body = frame.body
        guard frame.kind == .refusal, let reason = body.readText(0...900) else {
            throw WireError(.malformed, "the peer's refusal cannot be read")
        }
        self.reason = reason
    }
}
