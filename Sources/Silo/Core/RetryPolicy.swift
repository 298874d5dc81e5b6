import Avro
import OrchestraCore

/// What happens to a turn that throws.
package struct RetryPolicy: Sendable, Hashable {
    /// Default: 3.
    package var maximumAttempts = 3
    /// Default: 20 ms, then five times as long each time.
    package var firstPause = Duration.milliseconds(20)

    package init() {}

    /// How long to wait before the next attempt; `nil`: give up.
    ///
    /// - Parameter attempts: how many there have been, at least 1.
    package func pause(after error: any Error, attempts: Int) -> Duration? {
        guard attempts < maximumAttempts, RetryPolicy.mayPass(error) else { return nil }
        return (1..<attempts).reduce(firstPause) { pause, _ in pause * 5 }
    }

    /// Whether the same turn may succeed if it is run again. Errors that say that the input is wrong will not.
    static func mayPass(_ error: any Error) -> Bool {
        if let error = error as? OrchestraError {
            return ![.invalidArgument, .tooLarge, .unimplemented, .quarantined, .badConfiguration, .overloaded]
                .contains(error.code)
        }
        return !(error is CancellationError)
    }
}

extension OrchestraError {
    /// What a handler threw, as callers and dead letters show it.
    static func ofHandler(_ error: any Error, grain: GrainID) -> OrchestraError {
        if let error = error as? OrchestraError { return error }
        if let error = error as? AvroError { return error.orchestraError }
        return OrchestraError(.handlerFailed, "\(grain): \(error)", cause: error)
    }

    /// - Parameters:
    ///   - kind: "command" or "query".
    ///   - grain: names the grain's type.
    ///   - known: the names of what it has instead.
    static func noHandler(_ kind: String, _ method: String, of grain: String, has known: [String]) -> OrchestraError {
        OrchestraError(
            .unimplemented, "\(grain) has no \(kind) \"\(method)\"",
            nextStep: "it has: \(known.joined(separator: ", "))")
    }
}
