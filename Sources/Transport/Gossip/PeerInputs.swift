import DequeModule
package import NIOCore
import Synchronization

/// What a node learns from its gossip connections.
package enum PeerInput: Sendable {
    /// A message, and who sent it.
    case message(ByteBuffer, from: RemoteNode)
    /// There is a connection for gossip, whoever dialed. It replaces an earlier one of this node id.
    case connected(RemoteNode)
    /// The connection is gone, and why.
    case disconnected(RemoteNode, ConnectionEnd)
    /// A dial for waiting messages came to nothing; they are dropped, `expecting` is the node id that was to answer.
    case dialFailed(HostAndPort, expecting: String?, ConnectionEnd, droppedMessages: Int)
}

/// The inputs of the membership protocol, in order, for one consumer.
///
/// Bounded: while too much waits here the network reads nothing more from its gossip connections. What comes in spite
/// of that, from many connections at once, has a second bound beyond which messages, then the oldest events, are
/// dropped and counted.
package final class PeerInputs: AsyncSequence, Sendable {
    package typealias Element = PeerInput

    private struct State {
        var waiting = Deque<PeerInput>()
        var bytes = 0
        var consumer: CheckedContinuation<PeerInput?, Never>?
        var isFinished = false
        var isPaused = false
        var dropped = 0
    }

    private let state = Mutex(State())
    private let maximumCount: Int
    private let maximumBytes: Int
    /// Called, from any thread, when there is room again.
    private let resume: @Sendable () -> Void
    private static let hardFactor = 4

    init(maximumCount: Int, maximumBytes: Int, resume: @escaping @Sendable () -> Void) {
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
        self.resume = resume
    }

    /// Inputs that were dropped because nobody took them.
    package var dropped: Int { state.withLock { $0.dropped } }

    var isFull: Bool { state.withLock { $0.isPaused } }

    func offer(_ input: PeerInput) {
        let consumer: CheckedContinuation<PeerInput?, Never>? = state.withLock { state in
            guard !state.isFinished else { return nil }
            if let consumer = state.consumer {
                state.consumer = nil
                return consumer
            }
            enqueue(input, &state)
            return nil
        }
        consumer?.resume(returning: input)
    }

    private func enqueue(_ input: PeerInput, _ state: inout State) {
        let factor = PeerInputs.hardFactor
        if state.waiting.count >= factor * maximumCount || state.bytes >= factor * maximumBytes {
            state.dropped += 1
            if case .message = input { return }
            if let oldest = state.waiting.popFirst() { state.bytes -= oldest.byteCount }
        }
        state.waiting.append(input)
        state.bytes += input.byteCount
        state.isPaused = state.isPaused || state.waiting.count >= maximumCount || state.bytes >= maximumBytes
    }

    /// What waits is still delivered, then the sequence ends.
    func finish() {
        let consumer = state.withLock { state in
            state.isFinished = true
            defer { state.consumer = nil }
            return state.consumer
        }
        consumer?.resume(returning: nil)
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let inputs: PeerInputs

        /// - Returns: the next input; `nil` after the shutdown or when the task is cancelled.
        package mutating func next() async -> PeerInput? { await inputs.next() }
    }

    /// For one consumer at a time.
    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(inputs: self) }

    private func next() async -> PeerInput? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                var mustResume = false
                let answer: PeerInput?? = state.withLock { state in
                    if let input = state.waiting.popFirst() {
                        state.bytes -= input.byteCount
                        if state.isPaused, state.waiting.count <= maximumCount / 2, state.bytes <= maximumBytes / 2 {
                            state.isPaused = false
                            mustResume = true
                        }
                        return .some(.some(input))
                    }
                    if state.isFinished || Task.isCancelled { return .some(nil) }
                    precondition(state.consumer == nil, "two consumers of one PeerInputs")
                    state.consumer = continuation
                    return nil
                }
                if mustResume { resume() }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let consumer = state.withLock { state in
                defer { state.consumer = nil }
                return state.consumer
            }
            consumer?.resume(returning: nil)
        }
    }
}

extension PeerInput {
    fileprivate var byteCount: Int {
        if case .message(let bytes, _) = self { bytes.readableBytes } else { 0 }
    }
}
