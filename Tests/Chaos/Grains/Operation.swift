import Foundation
import Orchestra
import OrchestraCore

/// One operation of a client on a grain, under one request id however often it is tried.
struct Operation: Sendable {
    enum Action: Sendable {
        case add(Int), readCounter
        case write(Int), compareAndSet(expected: Int, new: Int), readRegister
    }

    enum Outcome: Sendable {
        case ok(Int)
        case failed(String)
        case unknown(String)
    }

    var key: String
    var action: Action
    var requestID = UUID().uuidString
    /// How long it is tried again, under the same id, after an attempt that did not succeed.
    var patience: Duration
    /// How long to wait before trying again.
    var pause: ClosedRange<Duration> = .milliseconds(20)...(.milliseconds(300))

    /// - Returns: the outcome of all attempts together, and how many they were.
    func run(on calls: SiloCalls) async -> (outcome: Outcome, attempts: Int) {
        let start = ContinuousClock.now
        var mayHaveHappened = false
        var attempts = 0
        while true {
            attempts += 1
            do throws(OrchestraError) {
                return (.ok(try await attempt(calls)), attempts)
            } catch {
                // A grain that nobody has written yet.
                if error.code == .notFound, !isCommand { return (.ok(0), attempts) }
                if isCommand, !Self.provesNoEffect(error.code) { mayHaveHappened = true }
                let isFinal = Self.isPermanent(error.code) || ContinuousClock.now - start >= patience
                if isFinal {
                    let text = "\(error.code): \(error.message)"
                    return (mayHaveHappened ? .unknown(text) : .failed(text), attempts)
                }
                try? await Task.sleep(
                    for: pause.lowerBound + (pause.upperBound - pause.lowerBound) * Double.random(in: 0...1))
            }
        }
    }

    private func attempt(_ calls: SiloCalls) async throws(OrchestraError) -> Int {
        switch action {
        case .add(let amount):
            try await calls.send(Counter.Add(amount: amount), to: Counter.type, key: key, requestID: requestID)
        case .readCounter:
            try await calls.ask(Counter.Read(), of: Counter.type, key: key)
        case .write(let value):
            try await calls.send(Register.Write(value: value), to: Register.type, key: key, requestID: requestID)
        case .compareAndSet(let expected, let new):
            try await calls.send(
                Register.CompareAndSet(expected: expected, new: new), to: Register.type, key: key,
                requestID: requestID)
        case .readRegister:
            try await calls.ask(Register.Read(), of: Register.type, key: key)
        }
    }

    private var isCommand: Bool {
        switch action {
        case .add, .write, .compareAndSet: true
        case .readCounter, .readRegister: false
        }
    }

    /// Whether the cluster promises by this code that the command has not changed the grain and will not.
    private static func provesNoEffect(_ code: OrchestraError.Code) -> Bool {
        [.unavailable, .overloaded, .notOwner].contains(code) || isPermanent(code)
    }

    private static func isPermanent(_ code: OrchestraError.Code) -> Bool {
        [.invalidArgument, .handlerFailed, .unimplemented, .tooLarge, .quarantined, .notFound, .conflict].contains(code)
    }
}

extension Operation.Action {
    var function: String {
        switch self {
        case .add: "add"
        case .readCounter, .readRegister: "read"
        case .write: "write"
        case .compareAndSet: "cas"
        }
    }

    var arguments: [Int] {
        switch self {
        case .add(let amount): [amount]
        case .write(let value): [value]
        case .compareAndSet(let expected, let new): [expected, new]
        case .readCounter, .readRegister: []
        }
    }

    var grainType: GrainType {
        switch self {
        case .add, .readCounter: Counter.type
        case .write, .compareAndSet, .readRegister: Register.type
        }
    }
}
