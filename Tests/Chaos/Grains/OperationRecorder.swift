import Foundation
import Orchestra
import Synchronization

/// Runs operations and writes into the history what became of them.
struct OperationRecorder: Sendable {
    let calls: SiloCalls
    let history: History

    /// - Returns: the value, if the operation succeeded.
    func perform(_ operation: Operation) async -> Int? {
        history.add(
            History.Event(
                event: "invoke", operation: operation.requestID, time: History.now(),
                key: "\(operation.action.grainType.name)/\(operation.key)", function: operation.action.function,
                arguments: operation.action.arguments))
        let (outcome, attempts) = await operation.run(on: calls)
        var event = History.Event(
            event: "ok", operation: operation.requestID, time: History.now(), attempts: attempts)
        switch outcome {
        case .ok(let value): event.value = value
        case .failed(let error): (event.event, event.error) = ("fail", error)
        case .unknown(let error): (event.event, event.error) = ("unknown", error)
        }
        history.add(event)
        return event.value
    }
}
