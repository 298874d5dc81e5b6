import Logging
import NIOCore
import OrchestraCore
import Synchronization

/// One accepted connection: cuts frames, runs a task for each call, and gathers answers into one write for each wake-up
/// of the event loop.
///
/// `@unchecked Sendable`: all mutable state is touched on the channel's event loop only, except `answers`, which has
/// its own lock.
final class ServerConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        /// Legal exits: serving, closed.
        case awaitingHello
        /// Legal exits: draining, closed.
        case serving
        /// Takes no more calls, closes after the last answer. Legal exits: closed.
        case draining
        /// Final.
        case closed
    }

    private struct RunningCall {
        var task: Task<Void, Never>
        var request: GrainCallRequest
        var deadline: NIODeadline
    }

    private struct Answer {
        var id: UInt64
        var result: Result<GrainCallReply, OrchestraError>
    }

    private let channel: any Channel
    private let shared: ServerContext
    private var phase = Phase.awaitingHello
    private var peer = "?"
    private var splitter: FrameSplitter
    private var calls: [UInt64: RunningCall] = [:]
    private var output = ByteBuffer()
    /// How long no whole frame has come.
    private var silence: Patience
    /// How long the peer has not read what waits for it.
    private var stall: Patience
    private var isReadPending = false
    private let watchInterval: TimeAmount
    private var watchdog: RepeatedTask?
    private let answers = Mutex<(waiting: [Answer], isFlushScheduled: Bool)>(([], false))

    init(channel: any Channel, shared: ServerContext) {
        self.channel = channel
        self.shared = shared
        splitter = FrameSplitter(maximumLength: shared.limits.maximumHandshakeFrameLength)
        let limits = shared.limits
        let shortest = min(limits.handshakeTimeout, limits.silenceTimeout, limits.writeStallTimeout)
        watchInterval = TimeAmount(min(max(shortest / 4, .milliseconds(10)), .seconds(1)))
        silence = Patience(step: watchInterval, now: .now())
        stall = silence
    }

    // MARK: From other threads

    func drain() {
        channel.eventLoop.execute { self.beginDraining() }
    }

    func close() {
        channel.close(promise: nil)
    }

    /// Called by the task of a call; wakes the event loop once for all answers that come meanwhile.
    private func deliver(_ answer: Answer) {
        let mustWake = answers.withLock { answers in
            answers.waiting.append(answer)
            defer { answers.isFlushScheduled = true }
            return !answers.isFlushScheduled
        }
        if mustWake { channel.eventLoop.execute { self.writeAnswers() } }
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        peer = context.remoteAddress.map { "\($0.ipAddress ?? "?")" } ?? "?"
        watchdog = channel.eventLoop.scheduleRepeatedTask(initialDelay: watchInterval, delay: watchInterval) { _ in
            self.watch(now: .now())
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        splitter.append(unwrapInboundIn(data))
        var accepted = 0
        var overloaded = 0
        do throws(WireError) {
            while phase != .closed, let frame = try splitter.next() {
                silence.reset()
                try receive(frame, accepted: &accepted, overloaded: &overloaded)
            }
        } catch {
            fail(error)
        }
        shared.counters.count(calls: accepted, overloaded: overloaded)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        context.fireChannelReadComplete()
    }

    /// Back-pressure: nothing more is read from a peer that does not read its answers.
    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable { context.read() } else { isReadPending = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { stall.reset() }
        if context.channel.isWritable, isReadPending {
            isReadPending = false
            context.read()
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset connection and the like: the channel says which; calls are cancelled by `channelInactive`.
        context.close(promise: nil)
    }

    private func end() {
        phase = .closed
        watchdog?.cancel()
        watchdog = nil
        shared.counters.countAbandoned(calls.count)
        for call in calls.values { call.task.cancel() }
        calls = [:]
        shared.remove(self)
    }

    // MARK: Frames

    private func receive(_ frame: Frame, accepted: inout Int, overloaded: inout Int) throws(WireError) {
        switch (phase, frame.kind) {
        case (.awaitingHello, _):
            try introduce(Hello(from: frame))
        case (.serving, .request), (.draining, .request):
            let (id, request) = try CallCodec.readRequest(frame)
            guard calls[id] == nil else {
                throw WireError(.malformed, "call id \(id) is used by a call in progress")
            }
            if let refusal = begin(request, id: id) {
                if refusal.code == .overloaded { overloaded += 1 }
                CallCodec.write(refusal, id: id, to: &output)
            } else {
                accepted += 1
            }
        case (.serving, .cancel), (.draining, .cancel):
            if let call = calls.removeValue(forKey: try CallCodec.readCancel(frame)) {
                call.task.cancel()
                shared.counters.countAbandoned(1)
                closeIfDrained()
            }
        case (.serving, .ping), (.draining, .ping):
            output.writeFrame(.pong)
        case (.serving, .pong), (.draining, .pong), (.closed, _):
            break
        default:
            throw WireError(.badKind, "a caller does not send a frame of kind \(frame.kind)")
        }
    }

    private func introduce(_ hello: Hello) throws(WireError) {
        let own = Hello(identity: shared.identity)
        _ = try own.agree(with: hello)
        guard !shared.isDraining else {
            return refuse("\(shared.identity) is shutting down")
        }
        own.write(to: &output)
        splitter.maximumLength = shared.limits.maximumFrameLength
        phase = .serving
        shared.counters.countConnection()
        shared.logger.debug(
            "accepted a connection", metadata: ["peer": "\(peer)", "node": "\(hello.identity)"])
    }

    /// - Returns: the error to answer at once, or `nil` when a task has taken the call on.
    private func begin(_ request: GrainCallRequest, id: UInt64) -> OrchestraError? {
        guard phase == .serving else {
            return OrchestraError(
                .unavailable, "\(shared.identity) is shutting down", nextStep: "ask again after a moment")
        }
        guard calls.count < shared.limits.maximumCallsPerConnection,
            shared.work.acquire(bytes: request.payload.count)
        else {
            return OrchestraError(
                .overloaded,
                "\(shared.identity) has \(shared.work.count) calls in progress, \(calls.count) of them "
                    + "of this connection", nextStep: "ask again after a moment")
        }
        let shared = shared
        let task = Task {
            let result: Result<GrainCallReply, OrchestraError>
            do throws(OrchestraError) {
                result = .success(try await shared.handler.handle(request))
            } catch {
                result = .failure(error)
            }
            self.deliver(Answer(id: id, result: result))
            shared.work.release(bytes: request.payload.count)
        }
        calls[id] = RunningCall(task: task, request: request, deadline: .now() + TimeAmount(request.timeLeft))
        return nil
    }

    // MARK: Answers

    private func writeAnswers() {
        let ready = answers.withLock { answers in
            defer { answers = ([], false) }
            return answers.waiting
        }
        guard phase != .closed else { return }
        for answer in ready where calls.removeValue(forKey: answer.id) != nil {
            write(answer)
        }
        flush()
        closeIfDrained()
    }

    private func write(_ answer: Answer) {
        switch answer.result {
        case .success(let reply) where reply.payload.count > shared.limits.maximumFrameLength - 64:
            let error = OrchestraError(
                .tooLarge,
                "an answer of \(reply.payload.count) bytes; \(shared.limits.maximumFrameLength - 64) are "
                    + "allowed", nextStep: "ask for less in one call")
            CallCodec.write(error, id: answer.id, to: &output)
        case .success(let reply):
            CallCodec.write(reply, id: answer.id, to: &output)
        case .failure(let error):
            CallCodec.write(error, id: answer.id, to: &output)
        }
    }

    private func flush() {
        guard output.readableBytes > 0, phase != .closed else { return }
        let bytes = output
        output = channel.allocator.buffer(capacity: min(bytes.readableBytes, 1 << 16))
        channel.writeAndFlush(bytes, promise: nil)
        guard !channel.isWritable else { return }
        let unsent = (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        if unsent > shared.limits.maximumUnsentBytes {
            fail(WireError(.slowReader, "\(unsent) bytes of answers wait for this peer to read them"))
        }
    }

    // MARK: Time and endings

    private func watch(now: NIODeadline) {
        let silence = silence.look(at: now)
        let stall = stall.look(at: now)
        // What a connection that ends well still has to say may also wait for a peer that does not read.
        let isStalled = !channel.isWritable || phase == .closed
        if !isStalled { self.stall.reset() }
        if isStalled, stall > TimeAmount(shared.limits.writeStallTimeout) {
            guard phase != .closed else { return channel.close(promise: nil) }
            return fail(WireError(.slowReader, "nothing was read within \(shared.limits.writeStallTimeout)"))
        }
        switch phase {
        case .awaitingHello where silence > TimeAmount(shared.limits.handshakeTimeout):
            fail(WireError(.silent, "nobody introduced itself within \(shared.limits.handshakeTimeout)"))
        case .serving where silence > TimeAmount(shared.limits.silenceTimeout) && !isStalled:
            fail(WireError(.silent, "no whole frame within \(shared.limits.silenceTimeout)"))
        case .awaitingHello, .serving, .draining:
            abandon("its time has passed", .deadlineExceeded) { $0.deadline <= now }
        case .closed:
            break
        }
    }

    private func beginDraining() {
        guard phase == .serving else {
            if phase == .awaitingHello { refuse("\(shared.identity) is shutting down") }
            return
        }
        phase = .draining
        output.writeFrame(.goAway)
        abandon("\(shared.identity) is shutting down", .unavailable) { $0.request.newerThan != nil }
        flush()
        closeIfDrained()
    }

    /// Cancels the tasks of some calls and answers in their place.
    private func abandon(
        _ reason: String, _ code: OrchestraError.Code, where isAbandoned: (RunningCall) -> Bool
    ) {
        let abandoned = calls.filter { isAbandoned($0.value) }
        guard !abandoned.isEmpty else { return }
        for (id, call) in abandoned {
            calls[id] = nil
            call.task.cancel()
            let code = call.request.kind == .command ? OrchestraError.Code.outcomeUnknown : code
            let error = OrchestraError(
                code, "the call \(call.request.method) of \(call.request.grain) was given up: \(reason)",
                nextStep: "ask again; a command with the same request id")
            CallCodec.write(error, id: id, to: &output)
        }
        shared.counters.countAbandoned(abandoned.count)
        flush()
        closeIfDrained()
    }

    private func closeIfDrained() {
        guard phase == .draining, calls.isEmpty else { return }
        closeAfterWriting()
    }

    private func closeAfterWriting() {
        let bytes = output
        output = ByteBuffer()
        phase = .closed
        stall.reset()
        channel.writeAndFlush(bytes).whenComplete { _ in self.channel.close(promise: nil) }
    }

    private func refuse(_ reason: String) {
        Refusal(reason: reason).write(to: &output)
        closeAfterWriting()
    }

    private func fail(_ error: WireError) {
        guard phase != .closed else { return }
        shared.counters.count(error.kind)
        if let suppressed = shared.logLimiter.admit(peer) {
            shared.logger.warning(
                "refused or closed a connection",
                metadata: [
                    "peer": "\(peer)", "reason": "\(error.kind.rawValue)", "detail": "\(error.message)",
                    "suppressed": "\(suppressed)",
                ])
        }
        if phase == .awaitingHello, error.kind == .wrongCluster || error.kind == .incompatible {
            refuse(error.message)
        } else {
            phase = .closed
            channel.close(promise: nil)
        }
    }
}
