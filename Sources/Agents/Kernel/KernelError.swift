/// What went wrong in a prompt, a function or a call of a model.
///
/// `code` is stable; `message` says what happened with the values involved, `nextStep` what to do about it.
public struct KernelError: Error, Sendable, CustomStringConvertible {
    /// A stable, machine-readable name of a failure.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        public var rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }

        public var description: String { rawValue }

        /// A text that should be JSON is not.
        public static let badJSON = Code(rawValue: "badJSON")
        /// A prompt template breaks the template language.
        public static let badTemplate = Code(rawValue: "badTemplate")
        /// A prompt folder or its `config.json` is wrong.
        public static let badPromptFolder = Code(rawValue: "badPromptFolder")
        /// A setting of the model connection is wrong.
        public static let badConfiguration = Code(rawValue: "badConfiguration")
        /// No plugin or function has the name.
        public static let functionNotFound = Code(rawValue: "functionNotFound")
        /// A name is taken or not allowed.
        public static let badName = Code(rawValue: "badName")
        /// A required argument is missing, or an argument does not fit its parameter.
        public static let badArgument = Code(rawValue: "badArgument")
        /// A native function threw.
        public static let functionFailed = Code(rawValue: "functionFailed")
        /// The kernel has no chat completion to answer a prompt.
        public static let noChatCompletion = Code(rawValue: "noChatCompletion")
        /// The model server could not be reached, or the connection broke before the answer was complete.
        public static let connectionFailed = Code(rawValue: "connectionFailed")
        /// The model server refused the credentials (401, 403).
        public static let unauthorized = Code(rawValue: "unauthorized")
        /// The model server asks for fewer requests (429).
        public static let rateLimited = Code(rawValue: "rateLimited")
        /// The prompt is longer than the model's context.
        public static let contextLengthExceeded = Code(rawValue: "contextLengthExceeded")
        /// The model server withheld the answer.
        public static let contentFiltered = Code(rawValue: "contentFiltered")
        /// The model server answered with an error.
        public static let modelFailed = Code(rawValue: "modelFailed")
        /// The model server's answer is not what the interface promises.
        public static let badResponse = Code(rawValue: "badResponse")
        /// The model kept asking for tools after the loop was stopped.
        public static let toolLoopStopped = Code(rawValue: "toolLoopStopped")
        /// The time for the task has passed.
        public static let deadlineExceeded = Code(rawValue: "deadlineExceeded")
        /// The surrounding task was cancelled.
        public static let cancelled = Code(rawValue: "cancelled")
    }

    public var code: Code
    public var message: String
    public var nextStep: String?
    public var cause: (any Error)?
    /// Whether the same call may succeed when it is repeated later.
    public var isRetriable: Bool

    /// - Parameters:
    ///   - code: what a program branches on.
    ///   - message: what happened, with the values involved.
    ///   - nextStep: what the reader can do about it.
    ///   - cause: the error underneath, if there is one.
    ///   - isRetriable: whether a repetition may succeed; an agent worker retries only such failures.
    public init(
        _ code: Code, _ message: String, nextStep: String? = nil, cause: (any Error)? = nil, isRetriable: Bool = false
    ) {
        self.code = code
        self.message = message
        self.nextStep = nextStep
        self.cause = cause
        self.isRetriable = isRetriable
    }

    public var description: String {
        guard let nextStep else { return "\(code): \(message)" }
        return "\(code): \(message) (\(nextStep))"
    }

    /// Turns whatever user code threw into a ``KernelError``; a `KernelError` stays as it is.
    ///
    /// An error of an unknown kind counts as retriable: most are passing troubles of something outside.
    static func wrapping(_ error: any Error, in function: String) -> KernelError {
        if let error = error as? KernelError { return error }
        if error is CancellationError { return KernelError(.cancelled, "\(function) was cancelled") }
        return KernelError(.functionFailed, "\(function) failed: \(error)", cause: error, isRetriable: true)
    }
}
