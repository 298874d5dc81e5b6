import Logging
import NIOCore
import OrchestraCore

/// One connection to a peer: the handshake, frames out in batches, frames in, pings.
///
/// `@unchecked Sendable`: all state is touched on the channel's event loop only, which is the link's.
final class ClientConnection: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        /// Legal exits: ready, closed.
        case awaitingHello
        /// Legal exits: closed.
        case ready
        /// Final.
        case closed
    }

    /// The cycle ends with the connection: the link then lets go of it.
    private let link: PeerLink
    private let limits: TransportLimits
    private var channel: (any Channel)?
    private var phase = Phase.awaitingHello
    private var splitter: FrameSplitter
    private var output = ByteBuffer()
    /// How long nothing has been heard.
    private var silence: Patience
    /// How long the peer has not read what waits for it.
    private var stall: Patience
    private let watchInterval: TimeAmount
    private var watchdog: RepeatedTask?
    private var endReason: String?

    init(link: PeerLink) {
        self.link = link
        limits = link.context.limits
        splitter = FrameSplitter(maximumLength: limits.maximumHandshakeFrameLength)
        let shortest = min(limits.handshakeTimeout, limits.pingInterval, limits.writeStallTimeout)
        watchInterval = TimeAmount(min(max(shortest / 2, .milliseconds(10)), limits.pingInterval))
        silence = Patience(step: watchInterval, now: .now())
        stall = silence
    }

    // MARK: What the link does

    var isWritable: Bool { channel?.isWritable ?? false && output.readableBytes < 1 << 20 }

    func send(_ request: GrainCallRequest, id: UInt64, timeLeft: Duration) {
        CallCodec.write(request, id: id, timeLeft: timeLeft, to: &output)
    }

    func cancel(_ id: UInt64) {
        guard phase == .ready else { return }
        CallCodec.writeCancel(id: id, to: &output)
        flush()
    }

    func flush() {
        guard output.readableBytes > 0, let channel else { return }
        let bytes = output
        output = channel.allocator.buffer(capacity: min(bytes.readableBytes, 1 << 16))
        channel.writeAndFlush(bytes, promise: nil)
    }

    func close() {
        endReason = endReason ?? "closed by this node"
        channel?.close(promise: nil)
    }

    // MARK: Channel events

    func channelActive(context: ChannelHandlerContext) {
        channel = context.channel
        silence = Patience(step: watchInterval, now: .now())
        stall = silence
        Hello(identity: link.context.identity).write(to: &output)
        flush()
        watchdog = context.eventLoop.scheduleRepeatedTask(initialDelay: watchInterval, delay: watchInterval) { _ in
            self.watch(now: .now())
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        splitter.append(unwrapInboundIn(data))
        do throws(WireError) {
            while phase != .closed, let frame = try splitter.next() {
                silence.reset()
                try receive(frame)
            }
        } catch {
            fail(error)
        }
        link.resumeFinished()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        stall.reset()
        link.sendWaiting()
    }

    func channelInactive(context: ChannelHandlerContext) {
        phase = .closed
        watchdog?.cancel()
        watchdog = nil
        link.connectionEnded(self, reason: endReason ?? "the peer closed it")
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        endReason = endReason ?? "\(error)"
        context.close(promise: nil)
    }

    // MARK: Frames and time

    private func receive(_ frame: Frame) throws(WireError) {
        switch (phase, frame.kind) {
        case (.awaitingHello, .refusal):
            endReason = "the peer refused this node: \(try Refusal(from: frame).reason)"
            phase = .closed
            channel?.close(promise: nil)
        case (.awaitingHello, _):
            let hello = try Hello(from: frame)
            _ = try Hello(identity: link.context.identity).agree(with: hello)
            splitter.maximumLength = limits.maximumFrameLength
            phase = .ready
            link.connectionIsReady(self, node: hello.identity)
        case (_, .reply):
            let (id, reply) = try CallCodec.readReply(frame)
            link.connectionWorks()
            link.receive(reply, id: id)
        case (_, .error):
            let (id, error) = try CallCodec.readError(frame)
            link.connectionWorks()
            link.receive(error, id: id)
        case (_, .pong):
            link.connectionWorks()
        case (_, .ping):
            output.writeFrame(.pong)
        case (_, .goAway):
            link.connectionIsLeaving(self)
        default:
            throw WireError(.badKind, "a server does not send a frame of kind \(frame.kind)")
        }
    }

    private func watch(now: NIODeadline) {
        let silence = silence.look(at: now)
        let stall = stall.look(at: now)
        if phase == .awaitingHello, silence > TimeAmount(limits.handshakeTimeout) {
            return fail(WireError(.silent, "the peer did not introduce itself within \(limits.handshakeTimeout)"))
        }
        guard phase == .ready, let channel else { return }
        if silence > TimeAmount(limits.silenceTimeout) {
            return fail(WireError(.silent, "nothing heard within \(limits.silenceTimeout)"))
        }
        guard !channel.isWritable else {
            self.stall.reset()
            // The peer judges silence too, so an idle connection needs these in any case.
            output.writeFrame(.ping)
            return flush()
        }
        if stall > TimeAmount(limits.writeStallTimeout) {
            fail(WireError(.slowReader, "the peer read nothing within \(limits.writeStallTimeout)"))
        }
    }

    private func fail(_ error: WireError) {
        guard phase != .closed else { return }
        phase = .closed
        link.context.counters.count(error.kind)
        endReason = "\(error)"
        channel?.close(promise: nil)
    }
}
