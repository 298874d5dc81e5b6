import OrchestraCore

/// The exit statuses besides 0 and 64 (wrong usage), which the argument parser gives.
enum ExitStatus {
    static let failure: Int32 = 1
    static let badConfiguration: Int32 = 2
}

/// Ends the process with a status; everything has been said.
struct CommandFailure: Error {
    var status: Int32 = ExitStatus.failure
}

extension OrchestraError {
    /// The message and the next step, without the code and the cause that programs and logs want.
    var textForPeople: String {
        var text = message
        if let cause { text += ": \(cause)" }
        if let nextStep { text += "\n  → \(nextStep)" }
        return text
    }
}
