package import NIOCore

/// The handshake of a connection: two nodes find out whether they belong together. A value type without I/O.
///
/// Four frames, whatever the purpose:
///
/// ```
/// dialer                                    listener
///   │ ── Hello(identity, purpose, nonce D) ──▶ │  versions overlap? same cluster? both or neither with a secret?
///   │ ◀─ Hello(identity, purpose, nonce L) ─── │  the dialer checks the same, and that it reached whom it dialed
///   │ ── Proof(HMAC over both hellos) ───────▶ │  does the dialer know the secret? is there room, is it needed?
///   │ ◀─ Welcome(HMAC over both hellos) ────── │  does the listener know it? then the connection is open
/// ```
///
/// A proof is HMAC-SHA256, keyed with the cluster secret, over the prover's side, the agreed version and the bytes of
/// both hellos, lengths first. So it is worth nothing on another connection (both nonces), for another cluster, node,
/// role, generation, purpose or address, in the other direction (the side), or after somebody lowered a version range
/// or hid that a node has a secret. The dialer proves first: a listener tells strangers nothing that a guess at the
/// secret could be tested with. Proofs are compared in constant time. A cluster without a secret sends empty proofs,
/// and each node says in its log that anybody who reaches its port is let in.
///
/// Either side that is not content answers with a ``Refusal``, which names the reason, and closes. So both logs tell
/// the same story. Only magic and versions of a hello must be readable for that.
///
/// What this does not do: the frames after the handshake are neither signed nor encrypted, so against somebody who can
/// change packets on the way the cluster needs TLS (``TLSFiles``), under which this runs unchanged.
///
/// One connection for each pair and purpose: a dialer that learns from the listener's hello that it has a connection to
/// that node (or proves itself on another one just now) stops there; hence a listener that gets a proof knows that the
/// peer has none, and lets the new one replace its own if it believes otherwise. When two nodes dial each other at the
/// same time, both are past the hello, and the listener whose node id is the lower one refuses: its own dial goes
/// through. See ``ConnectionTable``.
package struct Handshake: Sendable {
    package enum Side: Sendable, Hashable {
        /// - Parameter expecting: the node id that must answer; `nil` takes any.
        case dialer(expecting: String?)
        case listener
    }

    /// What follows from a frame.
    package enum Progress: Sendable, Equatable {
        /// The dialer knows whom it reached; its owner calls ``prove(to:)`` if it still wants the connection.
        case introduced(RemoteNode)
        /// The listener has seen the dialer's proof; its owner calls ``welcome(to:)`` if it takes the connection.
        case proven(RemoteNode)
        /// The connection is open.
        case opened(RemoteNode)
        /// Nothing yet.
        case waiting
    }

    private enum Phase {
        /// Legal exits: awaitingProof (listener), introduced (dialer), ended.
        case awaitingHello
        /// The dialer has the listener's hello. Legal exits: awaitingWelcome, ended.
        case introduced(RemoteNode)
        /// Legal exits: opened, ended.
        case awaitingWelcome(RemoteNode)
        /// Legal exits: proven, ended.
        case awaitingProof(RemoteNode)
        /// The listener has the dialer's proof. Legal exits: opened, ended.
        case proven(RemoteNode)
        /// Final.
        case opened
        /// Final: refused by either side.
        case ended
    }

    package let side: Side
    private var local: Hello
    private let secret: ClusterSecret?
    private var phase = Phase.awaitingHello
    private var transcript = ByteBuffer()

    /// - Parameters:
    ///   - hello: what this node says of itself. A listener takes the dialer's purpose in place of its own.
    ///   - secret: the cluster's; `hello.hasSecret` follows it.
    package init(_ side: Side, hello: Hello, secret: ClusterSecret?) {
        self.side = side
        self.secret = secret
        local = hello
        local.hasSecret = secret != nil
    }

    /// The dialer begins; a listener has nothing to say yet.
    package mutating func begin(to output: inout ByteBuffer) {
        if case .dialer = side { local.write(to: &output) }
    }

    /// - Throws: ``WireError`` when the two do not come together. The owner sends a ``Refusal`` unless
    ///   ``wasRefused``, and closes.
    package mutating func receive(_ frame: Frame, to output: inout ByteBuffer) throws(WireError) -> Progress {
        do throws(WireError) {
            if frame.kind == .refusal { throw try refused(by: frame) }
            switch (phase, side) {
            case (.awaitingHello, .listener): return try answer(frame, to: &output)
            case (.awaitingHello, .dialer(let expected)): return try judge(frame, expected: expected)
            case (.awaitingProof(let peer), _): return try checkProof(frame, of: peer)
            case (.awaitingWelcome(let peer), _): return try checkWelcome(frame, of: peer)
            case (.introduced, _), (.proven, _), (.opened, _), (.ended, _):
                throw WireError(.badKind, "a frame of kind \(frame.kind) in the middle of the handshake")
            }
        } catch {
            phase = .ended
            throw error
        }
    }

    /// The peer said no: there is nobody to refuse any more.
    private(set) package var wasRefused = false

    /// The dialer goes on after ``Progress/introduced(_:)``.
    package mutating func prove(to output: inout ByteBuffer) {
        guard case .introduced(let peer) = phase else { preconditionFailure("prove in \(phase)") }
        write(.proof, of: .dialer, to: &output)
        phase = .awaitingWelcome(peer)
    }

    /// The listener goes on after ``Progress/proven(_:)``.
    package mutating func welcome(to output: inout ByteBuffer) {
        guard case .proven = phase else { preconditionFailure("welcome in \(phase)") }
        write(.welcome, of: .listener, to: &output)
        phase = .opened
    }

    // MARK: Steps

    private mutating func answer(_ frame: Frame, to output: inout ByteBuffer) throws(WireError) -> Progress {
        let hello = try Hello(from: frame, supported: local.versions)
        local.purpose = hello.purpose
        let version = try local.agree(with: hello)
        var own = ByteBuffer()
        local.write(body: &own)
        record(version, dialer: frame.body, listener: own)
        local.write(to: &output)
        phase = .awaitingProof(RemoteNode(hello, version: version))
        return .waiting
    }

    private mutating func judge(_ frame: Frame, expected: String?) throws(WireError) -> Progress {
        let hello = try Hello(from: frame, supported: local.versions)
        let version = try local.agree(with: hello)
        guard hello.purpose == local.purpose else {
            throw WireError(.malformed, "a connection for \(local.purpose) was answered as one for \(hello.purpose)")
        }
        if let expected, expected != hello.identity.nodeID {
            throw WireError(.wrongNode, "\(hello.identity) answers where \(expected) was expected")
        }
        var own = ByteBuffer()
        local.write(body: &own)
        record(version, dialer: own, listener: frame.body)
        let peer = RemoteNode(hello, version: version)
        phase = .introduced(peer)
        return .introduced(peer)
    }

    private mutating func checkProof(_ frame: Frame, of peer: RemoteNode) throws(WireError) -> Progress {
        try check(frame, .proof, of: .dialer, peer)
        phase = .proven(peer)
        return .proven(peer)
    }

    private mutating func checkWelcome(_ frame: Frame, of peer: RemoteNode) throws(WireError) -> Progress {
        try check(frame, .welcome, of: .listener, peer)
        phase = .opened
        return .opened(peer)
    }

    private mutating func refused(by frame: Frame) throws(WireError) -> WireError {
        let refusal = try Refusal(from: frame)
        wasRefused = true
        return WireError(refusal.kind, "the peer refused this node: \(refusal.reason)")
    }

    // MARK: Proofs

    private mutating func record(_ version: UInt16, dialer: ByteBuffer, listener: ByteBuffer) {
        transcript.writeInteger(version)
        for body in [dialer, listener] {
            transcript.writeInteger(UInt32(body.readableBytes))
            transcript.writeImmutableBuffer(body)
        }
    }

    private func write(_ kind: Frame.Kind, of prover: ClusterSecret.Prover, to output: inout ByteBuffer) {
        output.writeFrame(kind) { body in
            if let secret { body.writeBytes(secret.proof(of: prover, transcript)) }
        }
    }

    private func check(
        _ frame: Frame, _ kind: Frame.Kind, of prover: ClusterSecret.Prover, _ peer: RemoteNode
    ) throws(WireError) {
        guard frame.kind == kind else {
            throw WireError(.badKind, "a frame of kind \(frame.kind) where the \(prover.rawValue)'s proof belongs")
        }
        let proof = Array(frame.body.readableBytesView)
        guard let secret else {
            guard proof.isEmpty else { throw WireError(.malformed, "a proof in a cluster without a secret") }
            return
        }
        guard secret.isValid(proof, of: prover, transcript) else {
            throw WireError(
                .wrongSecret, "\(peer.identity) and \(local.identity) do not have the same cluster secret")
        }
    }
}

/// Who is at the other end of a connection.
package struct RemoteNode: Sendable, Hashable, CustomStringConvertible {
    package var identity: NodeIdentity
    /// Where others reach it; `nil` if nobody can dial it.
    package var advertised: HostAndPort?
    package var purpose: ConnectionPurpose
    /// The protocol version that both speak.
    package var version: UInt16

    package init(_ hello: Hello, version: UInt16) {
        identity = hello.identity
        advertised = hello.advertised
        purpose = hello.purpose
        self.version = version
    }

    package var description: String { advertised.map { "\(identity) at \($0)" } ?? "\(identity)" }
}
