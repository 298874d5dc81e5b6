import Foundation

/// How a process ended.
enum ProcessExit: Sendable, Equatable, CustomStringConvertible {
    /// It ended by itself with this exit status.
    case code(Int32)
    /// A signal ended it.
    case signal(Int32)
    /// It never ran.
    case notStarted(String)

    /// - Parameter waitStatus: what `waitpid` stored.
    init(waitStatus: Int32) {
        // <sys/wait.h>'s macros are not visible in Swift: the low seven bits are the signal, the next byte the status.
        let signal = waitStatus & 0x7f
        self = signal == 0 ? .code((waitStatus >> 8) & 0xff) : .signal(signal)
    }

    var description: String {
        switch self {
        case .code(0): "ended (exit status 0)"
        case .code(let status): "failed (exit status \(status))"
        case .signal(let signal): "was killed by \(Self.signalNames[signal] ?? "signal \(signal)")"
        case .notStarted(let reason): "could not be started (\(reason))"
        }
    }

    private static let signalNames: [Int32: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGSEGV: "SIGSEGV",
        SIGPIPE: "SIGPIPE", SIGTERM: "SIGTERM",
    ]
}
