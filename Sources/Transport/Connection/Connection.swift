import Logging
import NIOCore
import TLS

/// One connection: the handshake, frames in, frames out in batches and by priority, pings, time-outs.
///
/// `@unchecked Sendable`: touched on the node's event loop only.
final class Connection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        /// Legal exits: open, closing, closed.
        case handshaking
        /// Legal exits: closing, closed.
        case open
        /// Writes what it still has to say, then closes; takes nothing more. Legal exits: closed.
        case closing
        /// Final.
        case closed
    }

    let table: ConnectionTable
    let isDialer: Bool
    /// Where this node dialed.
    let address: HostAndPort?
    /// Who is there, as far as it introduced itself.
    private(set) var remote: RemoteNode?
    /// Accepted, and not yet open: the table's business.
    var isStranger = false
    /// When it was accepted and opened, by the table's count of such events.
    var acceptedAt = 0
    var openedAt = 0
    private(set) var wasOpened = false

    private var context: ChannelHandlerContext?
    private var phase = Phase.handshaking
    private var handshake: Handshake
    private var session: (any ConnectionSession)?
    private var splitter: FrameSplitter
    private var queue = WriteQueue()
    private var hasBegun = false
    private var isReadPending = false
    /// How long no whole frame has come.
    private var silence: Patience
    /// How long the peer has not read what waits for it.
    private var stall: Patience
    private let watchInterval: TimeAmount
    private var sincePing = TimeAmount.zero
    private var watchdog: RepeatedTask?
    private var end: ConnectionEnd?
    /// Told once: open, or why not. Dialed connections only.
    private var outcome: ((Result<Connection, ConnectionEnd>) -> Void)?

    init(
        table: ConnectionTable, side: Handshake.Side, purpose: ConnectionPurpose, address: HostAndPort?,
        outcome: ((Result<Connection, ConnectionEnd>) -> Void)? = nil
    ) {
        self.table = table
        self.address = address
        self.outcome = outcome
        isDialer = side != .listener
        handshake = Handshake(side, hello: table.makeHello(purpose), secret: table.settings.secret)
        let limits = table.limits
        splitter = FrameSplitter(maximumLength: limits.maximumHandshakeFrameLength, takesCompressed: false)
        let shortest = min(
            limits.handshakeTimeout, limits.silenceTimeout, limits.writeStallTimeout, limits.pingInterval)
        watchInterval = TimeAmount(min(max(shortest / 4, .milliseconds(10)), .seconds(1)))
        silence = Patience(step: watchInterval, now: .now())
        stall = silence
    }

    private var limits: TransportLimits { table.limits }

    /// Who this is, for people: the address that was dialed, or where the peer comes from.
    var peerName: String {
        address?.description ?? context?.channel.remoteAddress.flatMap(\.ipAddress) ?? "?"
    }

    // MARK: Sending

    /// Whether more can be sent without piling it up here.
    var isWritable: Bool {
        phase == .open && context?.channel.isWritable ?? false && queue.bytes < 1 << 20
    }

    var isOpen: Bool { phase == .open }

    /// Bytes that wait here, beside what the kernel has.
    var queuedBytes: Int { queue.bytes }

    /// Appends a frame that is small as a rule; it is written with the next ``flush()``. A large one is compressed and
    /// goes the way of bulk frames.
    func append(_ write: (inout ByteBuffer) -> Void) {
        guard phase == .open else { return }
        var large: ByteBuffer?
        queue.appendUrgent { buffer in
            let start = buffer.writerIndex
            write(&buffer)
            let length = buffer.writerIndex - start
            guard length >= limits.compressionThreshold else { return }
            FrameCompression.fold(&buffer, frameAt: start, threshold: limits.compressionThreshold)
            guard buffer.writerIndex - start > Connection.maximumUrgentLength else { return }
            large = buffer.getSlice(at: start, length: buffer.writerIndex - start)
            buffer.moveWriterIndex(to: start)
        }
        if let large { queue.append(large, .bulk) }
        if queue.bytes > limits.maximumUnsentBytes {
            fail(WireError(.slowReader, "\(queue.bytes) bytes wait for this peer to read them"))
        }
    }

    private static let maximumUrgentLength = 64 << 10

    /// Appends a whole frame; it is written with the next ``flush()``.
    func append(_ frame: ByteBuffer, _ priority: FramePriority) {
        guard phase == .open else { return }
        var frame = frame
        FrameCompression.fold(&frame, frameAt: frame.readerIndex, threshold: limits.compressionThreshold)
        queue.append(frame, priority)
    }

    /// Hands the channel as much as it takes.
    func flush() {
        guard let context, phase != .closed, !queue.isEmpty else { return }
        while context.channel.isWritable, let chunk = queue.next() {
            context.write(wrapOutboundOut(chunk), promise: nil)
        }
        context.flush()
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        watchdog = context.eventLoop.scheduleRepeatedTask(initialDelay: watchInterval, delay: watchInterval) { _ in
            self.watch(now: .now())
        }
        if context.channel.isActive { begin() }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    /// A dialed channel is active already when this is added to it, and may yet say so once more.
    private func begin() {
        guard !hasBegun else { return }
        hasBegun = true
        silence = Patience(step: watchInterval, now: .now())
        stall = silence
        queue.appendUrgent { handshake.begin(to: &$0) }
        flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        splitter.append(unwrapInboundIn(data))
        do throws(WireError) {
            while phase == .handshaking || phase == .open, let frame = try splitter.next() {
                silence.reset()
                try receive(frame)
            }
        } catch {
            fail(error)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        session?.readCompleted()
        flush()
        context.fireChannelReadComplete()
    }

    /// Back-pressure: nothing more is read from a peer that does not read, or whose messages nobody takes.
    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable, session?.isPaused != true { context.read() } else { isReadPending = true }
    }

    /// The session is no longer paused.
    func resumeReading() {
        guard isReadPending, let context, context.channel.isWritable else { return }
        isReadPending = false
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            stall.reset()
            flush()
            session?.becameWritable()
            if session?.isPaused != true { resumeReading() }
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish()
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard phase != .closed else { return }
        if let error = error as? TLSError {
            return fail(
                WireError(
                    .badTLS,
                    "TLS failed, because one side does not speak it or does not trust the other's certificate: \(error)"
                ))
        }
        // A reset connection and the like.
        end = end ?? .lost("the connection broke: \(error)")
        context.close(promise: nil)
    }

    private func finish() {
        guard phase != .closed || watchdog != nil else { return }
        phase = .closed
        watchdog?.cancel()
        watchdog = nil
        let reason = end ?? .lost("the peer closed the connection")
        table.ended(self)
        session?.ended(reason)
        session = nil
        tell(.failure(reason))
    }

    private func tell(_ result: Result<Connection, ConnectionEnd>) {
        let outcome = outcome
        self.outcome = nil
        outcome?(result)
    }

    // MARK: Frames

    private func receive(_ frame: Frame) throws(WireError) {
        guard phase == .open else { return try shakeHands(frame) }
        switch frame.kind {
        case .ping: queue.appendUrgent { $0.writeFrame(.pong) }
        case .pong: break
        case .hello, .proof, .welcome, .refusal:
            throw WireError(.badKind, "a frame of kind \(frame.kind) after the handshake")
        default: try session?.received(frame)
        }
    }

    private func shakeHands(_ frame: Frame) throws(WireError) {
        var output = ByteBuffer()
        defer { queue.append(output, .urgent) }
        switch try handshake.receive(frame, to: &output) {
        case .waiting:
            break
        case .introduced(let peer):
            remote = peer
            try table.mayProve(self, to: peer)
            handshake.prove(to: &output)
        case .proven(let peer):
            remote = peer
            try table.mayWelcome(self, peer)
            handshake.welcome(to: &output)
            queue.append(output, .urgent)
            output = ByteBuffer()
            open(peer)
        case .opened(let peer):
            open(peer)
        }
    }

    private func open(_ peer: RemoteNode) {
        phase = .open
        wasOpened = true
        splitter.maximumLength = limits.maximumFrameLength
        splitter.takesCompressed = true
        session = table.opened(self, peer)
        tell(.success(self))
        if peer.purpose == .probe, isDialer { close("the probe was answered") }
    }

    // MARK: Time

    private func watch(now: NIODeadline) {
        guard let context else { return }
        let silence = silence.look(at: now)
        let stall = stall.look(at: now)
        // What a connection that ends well still has to say may also wait for a peer that does not read.
        let isStalled = !context.channel.isWritable || phase == .closing
        if !isStalled { self.stall.reset() }
        if isStalled, stall > TimeAmount(limits.writeStallTimeout) {
            if phase == .closing { return abort() }
            return fail(WireError(.slowReader, "the peer read nothing within \(limits.writeStallTimeout)"))
        }
        switch phase {
        case .handshaking where silence > TimeAmount(limits.handshakeTimeout):
            if isDialer { end = .timedOut }
            fail(WireError(.silent, "the handshake was not done within \(limits.handshakeTimeout)"))
        case .open where silence > TimeAmount(limits.silenceTimeout) && !isStalled && session?.isPaused != true:
            fail(WireError(.silent, "no whole frame within \(limits.silenceTimeout)"))
        case .open:
            ping()
            session?.look(at: now)
        case .handshaking, .closing, .closed:
            break
        }
    }

    /// Both sides judge silence, so an idle connection needs pings in any case: the dialer's, which are answered.
    private func ping() {
        sincePing = sincePing + watchInterval
        guard isDialer, sincePing >= TimeAmount(limits.pingInterval), context?.channel.isWritable == true else {
            return
        }
        sincePing = .zero
        queue.appendUrgent { $0.writeFrame(.ping) }
        flush()
    }

    /// A dial that was given a time for everything has used it up.
    func handshakeTimedOut() {
        guard phase == .handshaking else { return }
        end = .timedOut
        phase = .closing
        context?.close(promise: nil)
        if context == nil { finish() }
    }

    // MARK: Endings

    /// Whether a dial that has just got through still has somebody waiting for it.
    var isWanted: Bool { phase == .handshaking }

    /// This node closes the connection, after what waits has been written.
    func close(_ reason: String) {
        guard phase == .handshaking || phase == .open else { return }
        end = end ?? .closed(reason)
        closeAfterWriting()
    }

    /// Closes at once.
    func abort() {
        end = end ?? .closed("cut off by this node")
        context?.close(promise: nil)
        if context == nil { finish() }
    }

    /// The attempt to connect failed before there was a channel.
    func connectFailed(_ error: any Error) {
        guard phase == .handshaking else { return }
        end = end ?? ConnectionEnd(connecting: error)
        if let context { context.close(promise: nil) }
        finish()
    }

    /// The peer, or this node, does not want it: counted, logged, said to the peer if it can still hear it, closed.
    func fail(_ error: WireError) {
        guard phase == .handshaking || phase == .open else { return }
        end = end ?? .failed(error)
        if error.isViolation {
            (isDialer ? table.dialed : table.accepted).count(error.kind)
            log(error)
        }
        if phase == .handshaking, !handshake.wasRefused, isWorthARefusal(error) {
            queue.appendUrgent { Refusal(error).write(to: &$0) }
            closeAfterWriting()
        } else {
            phase = .closing
            context?.close(promise: nil)
        }
    }

    /// Noise is not answered, and neither is silence.
    private func isWorthARefusal(_ error: WireError) -> Bool {
        switch error.kind {
        case .badLength, .badKind, .malformed, .silent, .slowReader, .badTLS: false
        default: true
        }
    }

    private func log(_ error: WireError) {
        guard let suppressed = table.logLimiter.admit("\(peerName) \(error.kind.rawValue)") else { return }
        var metadata: Logger.Metadata = [
            "peer": "\(peerName)", "reason": "\(error.kind.rawValue)", "detail": "\(error.message)",
            "suppressed": "\(suppressed)",
        ]
        if let remote { metadata["node"] = "\(remote.identity)" }
        table.logger.warning(
            isDialer ? "a connection to a peer failed" : "refused or closed a connection", metadata: metadata)
    }

    private func closeAfterWriting() {
        phase = .closing
        stall.reset()
        guard let context else { return finish() }
        while let chunk = queue.next() { context.write(wrapOutboundOut(chunk), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            self.context?.close(promise: nil)
        }
    }
}
