import DequeModule
import Logging
import Metrics
import NIOCore

// One client connection. Requests are taken up in the order in which they come and answered in that order, though they
// may be finished in another one. What keeps a client from hurting the others:
//
// - a frame that claims more than the limit, or is no request, closes this connection only; memory for a frame grows
//   with the bytes that have come, not with the length that it claims;
// - reading stops while too many requests wait for their answers, while the client does not read its answers, and
//   while the whole broker waits for its disk; requests that have come already are left alone then, too;
// - what all connections together hold of unfinished requests and of unread answers is counted; beyond the limits the
//   connection that holds most is closed.
//
/// Cuts the byte stream into requests, keeps the answers in order.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let core: BrokerCore
    private let limits: LocalBrokerConfiguration.Limits
    private var context: ChannelHandlerContext?
    private var received = ByteBuffer()
    private var slots: Deque<ResponseSlot> = []
    private var isReadWanted = false
    private var isFlushScheduled = false
    /// The last answer of this turn of the event loop, which is written when all are flushed.
    private var unwritten: ByteBuffer?
    private var unflushedBytes = 0
    /// Bytes of answers that are on their way to the client.
    private(set) var outboundBytes = 0
    /// Bytes of requests that are not whole yet, as the broker's sum knows them.
    private(set) var inboundBytes = 0
    private var isClosing = false
    private var isTaking = false
    /// How many answers are being read from the database; the next request waits for them.
    private var coldReads = 0
    private(set) var clientHost = ""
    /// Our own address as this client sees it.
    private(set) var localHost: String?
    private(set) var lastActivity = NIODeadline.now()
    /// Fetches of this connection that are waiting for data.
    var delayedFetches: [ObjectIdentifier: DelayedFetch] = [:]

    init(core: BrokerCore) {
        self.core = core
        limits = core.configuration.limits
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        clientHost = "/" + (context.remoteAddress?.ipAddress ?? "unknown")
        localHost = context.localAddress?.ipAddress
        core.connections[ObjectIdentifier(self)] = self
    }

    func channelInactive(context: ChannelHandlerContext) {
        detach()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { detach() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        core.logger.debug("connection failed", metadata: ["client": "\(clientHost)", "error": "\(error)"])
        close()
    }

    private func detach() {
        guard context != nil else { return }
        context = nil
        isClosing = true
        core.connections[ObjectIdentifier(self)] = nil
        for fetch in Array(delayedFetches.values) { fetch.abandon() }
        delayedFetches = [:]
        slots = []
        received = ByteBuffer()
        countInbound()
        core.outboundBytes -= unflushedBytes
        unflushedBytes = 0
        unwritten = nil
    }

    func close() {
        isClosing = true
        context?.close(promise: nil)
    }

    /// Closes the connection and lets go of what it holds, at once.
    func abandon() {
        close()
        detach()
    }

    /// Closes the connection if nothing has happened on it for `limit`.
    func closeIfIdle(now: NIODeadline, limit: TimeAmount) {
        guard now - lastActivity > limit else { return }
        core.logger.debug("closing an idle connection", metadata: ["client": "\(clientHost)"])
        close()
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastActivity = .now()
        var bytes = unwrapInboundIn(data)
        guard self.context != nil else { return }
        core.metrics.receivedBytes.increment(by: bytes.readableBytes)
        if received.readableBytes == 0 {
            received = bytes
        } else {
            received.writeBuffer(&bytes)
        }
        takeRequests()
        countInbound()
        core.limitInbound()
    }

    private func countInbound() {
        core.inboundBytes += received.readableBytes - inboundBytes
        inboundBytes = received.readableBytes
    }

    /// An answer is being read from the database.
    func beginColdRead() { coldReads += 1 }

    func endColdRead() { coldReads -= 1 }

    /// Whether the client takes its answers, so that more can be prepared.
    private var hasRoomForAnswers: Bool {
        coldReads == 0 && unflushedBytes < BrokerCore.largeAnswerBytes && context?.channel.isWritable == true
    }

    /// Takes up what has been received, as far as there is room for its answers.
    private func takeRequests() {
        // An answer that is given at once comes back here: thousands of small requests would exhaust the stack.
        guard !isTaking else { return }
        isTaking = true
        defer { isTaking = false }
        while !isClosing, core.takesRequests, !core.isOverloaded, hasRoomForAnswers,
            slots.count < limits.maximumRequestsInFlight,
            let frame = nextFrame()
        {
            let slot = ResponseSlot(connection: self)
            slots.append(slot)
            do throws(WireError) {
                try core.handle(frame, slot: slot, clientHost: clientHost)
            } catch {
                refuse("\(error)")
            }
        }
        if received.readableBytes == 0 {
            received = ByteBuffer()
        } else if received.readerIndex > 1 << 16 {
            received.discardReadBytes()
        }
        countInbound()
    }

    private func nextFrame() -> ByteBuffer? {
        guard let length = received.getInteger(at: received.readerIndex, as: Int32.self) else { return nil }
        guard length >= 8, Int(length) <= limits.maximumRequestBytes else {
            refuse("a frame claims \(length) bytes; allowed are 8 to \(limits.maximumRequestBytes)")
            return nil
        }
        guard received.readableBytes >= 4 + Int(length) else { return nil }
        received.moveReaderIndex(forwardBy: 4)
        return received.readSlice(length: Int(length))
    }

    private func refuse(_ reason: String) {
        core.logger.info(
            "closing a connection that sent no valid request",
            metadata: ["client": "\(clientHost)", "reason": "\(reason)"])
        core.metrics.refusedConnections.increment()
        close()
    }

    // MARK: Answers

    /// A slot has got its answer: writes every answer that is next in order.
    func slotIsReady() {
        guard let context, !isClosing else { return }
        var hasWritten = false
        while let slot = slots.first, slot.isReady {
            slots.removeFirst()
            guard let frame = slot.takeFrame() else { continue }
            hasWritten = true
            write(frame, context)
        }
        if hasWritten { scheduleFlush(context) }
        if received.readableBytes > 0 { takeRequests() }
        resumeReading()
    }

    private func write(_ frame: ByteBuffer, _ context: ChannelHandlerContext) {
        if let unwritten { context.write(wrapOutboundOut(unwritten), promise: nil) }
        unwritten = frame
        unflushedBytes += frame.readableBytes
        core.outboundBytes += frame.readableBytes
        core.metrics.sentBytes.increment(by: frame.readableBytes)
    }

    /// One flush for all that is answered in this turn of the event loop.
    private func scheduleFlush(_ context: ChannelHandlerContext) {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute { [self] in
            isFlushScheduled = false
            lastActivity = .now()
            flush()
        }
    }

    /// Hands the answers to the channel; they count as outbound until the client has taken the last of them.
    private func flush() {
        guard let context, let last = unwritten else { return }
        unwritten = nil
        let byteCount = unflushedBytes
        unflushedBytes = 0
        outboundBytes += byteCount
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { [self] _ in
            outboundBytes -= byteCount
            core.outboundBytes -= byteCount
        }
        context.writeAndFlush(wrapOutboundOut(last), promise: promise)
        core.limitOutbound()
        resume()
    }

    // MARK: Back-pressure

    func read(context: ChannelHandlerContext) {
        if mayRead(context) {
            context.read()
        } else {
            isReadWanted = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        resume()
        context.fireChannelWritabilityChanged()
    }

    /// Goes on after the broker was overloaded, or the client had not taken its answers.
    func resume() {
        if received.readableBytes > 0 { takeRequests() }
        resumeReading()
    }

    private func resumeReading() {
        guard isReadWanted, let context, mayRead(context) else { return }
        isReadWanted = false
        context.read()
    }

    private func mayRead(_ context: ChannelHandlerContext) -> Bool {
        slots.count < limits.maximumRequestsInFlight && coldReads == 0 && context.channel.isWritable
            && !core.isOverloaded
    }
}

/// The place of one answer in the order of its connection.
final class ResponseSlot {
    private(set) weak var connection: ConnectionHandler?
    private(set) var isReady = false
    private var frame: ByteBuffer?

    init(connection: ConnectionHandler?) { self.connection = connection }

    /// - Parameter frame: nil for a request that gets no answer (acks = 0).
    func fill(_ frame: ByteBuffer?) {
        guard !isReady else { return }
        self.frame = frame
        isReady = true
        connection?.slotIsReady()
    }

    func takeFrame() -> ByteBuffer? {
        defer { frame = nil }
        return frame
    }
}

/// A request on its way: how to answer it.
struct RequestContext {
    let api: API
    let version: Int16
    let correlationID: Int32
    let clientID: String
    let clientHost: String
    let slot: ResponseSlot
    let logger: Logger
    /// Where the time until the answer is recorded.
    let latency: Metrics.Timer?
    private let started = NIODeadline.now()

    init(
        api: API, version: Int16, correlationID: Int32, clientID: String, clientHost: String, slot: ResponseSlot,
        logger: Logger, latency: Metrics.Timer? = nil
    ) {
        self.api = api
        self.version = version
        self.correlationID = correlationID
        self.clientID = clientID
        self.clientHost = clientHost
        self.slot = slot
        self.logger = logger
        self.latency = latency
    }

    var connection: ConnectionHandler? { slot.connection }

    @inline(never)
    func respond(_ response: some WireStructure, sizeHint: Int = 128) {
        latency?.recordNanoseconds((NIODeadline.now() - started).nanoseconds)
        do throws(WireError) {
            slot.fill(
                try ResponseFrame.encode(
                    response, api: api, version: version, correlationID: correlationID, sizeHint: sizeHint,
                    allocator: ByteBufferAllocator()))
        } catch {
            logger.error("an answer cannot be encoded", metadata: ["api": "\(api.key)", "error": "\(error)"])
            slot.connection?.close()
        }
    }

    func respondNothing() { slot.fill(nil) }
}
