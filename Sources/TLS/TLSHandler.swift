package import NIOCore

/// TLS in a channel's pipeline: ciphertext towards the network, plain text towards the handlers after it.
///
/// What is written before the handshake is done waits here. Errors are ``TLSError``; they reach the next handler before
/// the channel closes. The end of a connection counts without a `close_notify` too: what runs over it must know by itself
/// whether a message is whole, as frames with a length do. A connection is closed as a whole, never one half of it.
package final class TLSHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private enum Phase {
        /// The channel is not active yet. Legal exits: handshaking, ended.
        case idle
        /// Legal exits: open, ended.
        case handshaking
        /// Legal exits: ended.
        case open
        /// Nothing is encrypted or decrypted any more. Final.
        case ended
    }

    private let session: TLSSession
    private var phase = Phase.idle
    /// Waits for the handshake, or for a flush.
    private var writes = CircularBuffer<(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)>()
    /// How many of them were flushed.
    private var flushed = 0
    /// A handler asked for bytes and has got none yet.
    private var isReadPending = false
    private var hasDelivered = false

    /// - Throws: ``TLSError`` when there is no memory for it.
    package init(_ context: TLSContext) throws(TLSError) {
        session = try TLSSession(context)
    }

    // MARK: Inbound

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        end(failing: ChannelError.ioOnClosedChannel)
    }

    package func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        if phase == .handshaking {
            end(failing: ChannelError.ioOnClosedChannel) {
                context.fireErrorCaught(TLSError(.connection, "the peer closed the connection during the handshake"))
            }
        }
        end(failing: ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase != .ended else { return }
        do throws(TLSError) {
            try session.receive(unwrapInboundIn(data))
            if phase == .handshaking { try shakeHands(context) }
            if phase == .open { try deliver(context) }
        } catch {
            fail(context, error)
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        // Part of a record, or of the handshake: whoever asked for bytes still waits.
        if isReadPending, !hasDelivered { context.read() }
        hasDelivered = false
        context.fireChannelReadComplete()
    }

    // MARK: Outbound

    package func read(context: ChannelHandlerContext) {
        isReadPending = true
        context.read()
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard phase != .ended else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        writes.append((unwrapOutboundIn(data), promise))
    }

    package func flush(context: ChannelHandlerContext) {
        flushed = writes.count
        do throws(TLSError) { try encrypt(context) } catch { fail(context, error) }
        context.flush()
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        sayGoodbye(context)
        end(failing: ChannelError.ioOnClosedChannel) { context.close(mode: mode, promise: promise) }
    }

    // MARK: Handshake

    private func begin(_ context: ChannelHandlerContext) {
        guard phase == .idle else { return }
        phase = .handshaking
        do throws(TLSError) { try shakeHands(context) } catch { fail(context, error) }
    }

    private func shakeHands(_ context: ChannelHandlerContext) throws(TLSError) {
        let isDone = try session.shakeHands()
        sendOutput(context)
        guard isDone, phase == .handshaking else { return }
        phase = .open
        try encrypt(context)
        context.flush()
    }

    // MARK: Plain text

    private func deliver(_ context: ChannelHandlerContext) throws(TLSError) {
        var text = context.channel.allocator.buffer(capacity: 0)
        var result = TLSSession.ReadResult.bytes
        var failure: TLSError?
        do throws(TLSError) {
            while result == .bytes { result = try session.read(into: &text) }
        } catch {
            failure = error
        }
        // What came before an error or the end is whole.
        if text.readableBytes > 0 {
            hasDelivered = true
            isReadPending = false
            context.fireChannelRead(wrapInboundOut(text))
        }
        guard phase == .open else { return }
        if let failure { throw failure }
        // An answer to the peer's change of keys, for instance.
        sendOutput(context)
        if result == .closed {
            sayGoodbye(context)
            end(failing: ChannelError.ioOnClosedChannel) { context.close(promise: nil) }
        }
    }

    private func encrypt(_ context: ChannelHandlerContext) throws(TLSError) {
        while phase == .open, flushed > 0, let (bytes, promise) = writes.popFirst() {
            flushed -= 1
            do throws(TLSError) {
                let encrypted = try session.write(bytes, allocator: context.channel.allocator)
                context.write(wrapOutboundOut(encrypted), promise: promise)
            } catch {
                promise?.fail(error)
                throw error
            }
        }
    }

    private func sendOutput(_ context: ChannelHandlerContext) {
        guard let output = session.takeOutput(allocator: context.channel.allocator) else { return }
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
    }

    // MARK: Endings

    private func sayGoodbye(_ context: ChannelHandlerContext) {
        guard phase == .open else { return }
        session.close()
        sendOutput(context)
    }

    /// Sends the alert, tells the next handler, closes.
    private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        guard phase != .ended else { return }
        sendOutput(context)
        end(failing: error) {
            context.fireErrorCaught(error)
            context.close(promise: nil)
        }
    }

    /// - Parameter body: runs after this handler's end and before the writers of what waits hear of it.
    private func end(failing error: any Error, _ body: () -> Void = {}) {
        phase = .ended
        let unwritten = writes
        writes.removeAll()
        flushed = 0
        body()
        for (_, promise) in unwritten { promise?.fail(error) }
    }
}
