import Logging
import NIOCore
import OrchestraCore
import Synchronization

/// Grain calls over one open connection, in both directions: frames of this node's calls out and their answers in; a
/// task for each call of the peer, and answers gathered into one write for each wake-up of the event loop.
///
/// `@unchecked Sendable`: all mutable state is touched on the node's event loop only, except `answers`, which has its
/// own lock.
final class CallSession: ConnectionSession, @unchecked Sendable {
    private enum Phase {
        /// Legal exits: draining, ended.
        case serving
        /// Takes no more calls of the peer, closes after the last answer. Legal exits: ended.
        case draining
        /// Final.
        case ended
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

    let connection: Connection
    let peer: RemoteNode
    /// The peer takes no more calls on this connection.
    private(set) var isLeaving = false
    /// Those that send their calls here.
    private(set) var links: [CallLink] = []
    private let hub: CallHub
    private var phase = Phase.serving
    /// Calls of the peer in progress.
    private var running: [UInt64: RunningCall] = [:]
    /// Calls of this node that the peer has not answered.
    private var unanswered = 0
    private var accepted = 0
    private var overloaded = 0
    private var wasAnswered = false
    private let answers = Mutex<(waiting: [Answer], isFlushScheduled: Bool)>(([], false))

    init(hub: CallHub, connection: Connection, peer: RemoteNode) {
        self.hub = hub
        self.connection = connection
        self.peer = peer
    }

    private var identity: NodeIdentity { hub.table.settings.identity }
    private var limits: TransportLimits { hub.limits }

    // MARK: Calls of this node

    func add(_ link: CallLink) {
        if !links.contains(where: { $0 === link }) { links.append(link) }
    }

    func send(_ request: GrainCallRequest, id: UInt64, timeLeft: Duration) {
        unanswered += 1
        connection.append { CallCodec.write(request, id: id, timeLeft: timeLeft, to: &$0) }
    }

    func cancel(_ id: UInt64) {
        connection.append { CallCodec.writeCancel(id: id, to: &$0) }
        connection.flush()
    }

    func callEnded() {
        unanswered -= 1
        if phase == .draining { closeIfDrained() }
    }

    // MARK: Frames

    let isPaused = false

    func received(_ frame: Frame) throws(WireError) {
        switch frame.kind {
        case .request:
            let (id, request) = try CallCodec.readRequest(frame)
            guard running[id] == nil else {
                throw WireError(.malformed, "call id \(id) is used by a call in progress")
            }
            if let refusal = begin(request, id: id) {
                if refusal.code == .overloaded { overloaded += 1 }
                connection.append { CallCodec.write(refusal, id: id, to: &$0) }
            } else {
                accepted += 1
            }
        case .cancel:
            guard let call = running.removeValue(forKey: try CallCodec.readCancel(frame)) else { return }
            call.task.cancel()
            hub.table.accepted.countAbandoned(1)
            closeIfDrained()
        case .reply:
            let (id, reply) = try CallCodec.readReply(frame)
            wasAnswered = true
            hub.received(.success(reply), id: id, on: self)
        case .error:
            let (id, error) = try CallCodec.readError(frame)
            wasAnswered = true
            hub.received(.failure(error), id: id, on: self)
        case .goAway:
            isLeaving = true
            for link in links { link.sessionIsLeaving(self) }
        case .hello, .proof, .welcome, .refusal, .ping, .pong, .message:
            throw WireError(.badKind, "a frame of kind \(frame.kind) on a connection for calls")
        }
    }

    func readCompleted() {
        hub.table.accepted.count(calls: accepted, overloaded: overloaded)
        accepted = 0
        overloaded = 0
        if wasAnswered {
            wasAnswered = false
            for link in links { link.worked() }
            hub.resumeFinished()
        }
    }

    func becameWritable() {
        for link in links where link.session === self { hub.sendWaiting(of: link) }
    }

    // MARK: Calls of the peer

    /// - Returns: the error to answer at once, or `nil` when a task has taken the call on.
    private func begin(_ request: GrainCallRequest, id: UInt64) -> OrchestraError? {
        guard let handler = hub.handler else {
            return OrchestraError(.unavailable, "\(identity) answers no calls", nextStep: "ask a silo")
        }
        guard phase == .serving else {
            return OrchestraError(.unavailable, "\(identity) is shutting down", nextStep: "ask again after a moment")
        }
        guard running.count < limits.maximumCallsPerConnection, hub.work.acquire(bytes: request.payload.count) else {
            return OrchestraError(
                .overloaded,
                "\(identity) has \(hub.work.count) calls in progress, \(running.count) of them of this connection",
                nextStep: "ask again after a moment")
        }
        let hub = hub
        let task = Task {
            let result: Result<GrainCallReply, OrchestraError>
            do throws(OrchestraError) {
                result = .success(try await handler.handle(request))
            } catch {
                result = .failure(error)
            }
            self.deliver(Answer(id: id, result: result))
            hub.work.release(bytes: request.payload.count)
        }
        running[id] = RunningCall(task: task, request: request, deadline: .now() + TimeAmount(request.timeLeft))
        return nil
    }

    /// Called by the task of a call; wakes the event loop once for all answers that come meanwhile.
    private func deliver(_ answer: Answer) {
        let mustWake = answers.withLock { answers in
            answers.waiting.append(answer)
            defer { answers.isFlushScheduled = true }
            return !answers.isFlushScheduled
        }
        if mustWake { hub.table.eventLoop.execute { self.writeAnswers() } }
    }

    private func writeAnswers() {
        let ready = answers.withLock { answers in
            defer { answers = ([], false) }
            return answers.waiting
        }
        guard phase != .ended else { return }
        for answer in ready where running.removeValue(forKey: answer.id) != nil {
            connection.append { self.write(answer, to: &$0) }
        }
        connection.flush()
        closeIfDrained()
    }

    private func write(_ answer: Answer, to buffer: inout ByteBuffer) {
        switch answer.result {
        case .success(let reply) where reply.payload.count > limits.maximumFrameLength - 64:
            let error = OrchestraError(
                .tooLarge,
                "an answer of \(reply.payload.count) bytes; \(limits.maximumFrameLength - 64) are allowed",
                nextStep: "ask for less in one call")
            CallCodec.write(error, id: answer.id, to: &buffer)
        case .success(let reply):
            CallCodec.write(reply, id: answer.id, to: &buffer)
        case .failure(let error):
            CallCodec.write(error, id: answer.id, to: &buffer)
        }
    }

    func look(at now: NIODeadline) {
        abandon("its time has passed", .deadlineExceeded) { $0.deadline <= now }
    }

    /// Cancels the tasks of some calls and answers in their place.
    private func abandon(
        _ reason: String, _ code: OrchestraError.Code, where isAbandoned: (RunningCall) -> Bool
    ) {
        let abandoned = running.filter { isAbandoned($0.value) }
        guard !abandoned.isEmpty else { return }
        for (id, call) in abandoned {
            running[id] = nil
            call.task.cancel()
            let code = call.request.kind == .command ? OrchestraError.Code.outcomeUnknown : code
            let error = OrchestraError(
                code, "the call \(call.request.method) of \(call.request.grain) was given up: \(reason)",
                nextStep: "ask again; a command with the same request id")
            connection.append { CallCodec.write(error, id: id, to: &$0) }
        }
        hub.table.accepted.countAbandoned(abandoned.count)
        connection.flush()
        closeIfDrained()
    }

    // MARK: Endings

    func beginDraining() {
        guard phase == .serving else { return }
        phase = .draining
        connection.append { $0.writeFrame(.goAway) }
        abandon("\(identity) is shutting down", .unavailable) { $0.request.newerThan != nil }
        connection.flush()
        closeIfDrained()
    }

    private func closeIfDrained() {
        guard phase == .draining, running.isEmpty, unanswered <= 0 else { return }
        connection.close("this node is shutting down")
    }

    func ended(_ end: ConnectionEnd) {
        guard phase != .ended else { return }
        phase = .ended
        hub.table.accepted.countAbandoned(running.count)
        for call in running.values { call.task.cancel() }
        running = [:]
        hub.ended(self, end)
        links = []
    }
}
