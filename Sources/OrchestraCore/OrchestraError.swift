/// What went wrong, in a form that a program can branch on and a person can act on.
///
/// `code` is stable and part of the interface (it is the `type` of a problem document and the code of a
/// call's error frame); `message` says what happened with the values involved; `nextStep` says what to do about it.
public struct OrchestraError: Error, Sendable, CustomStringConvertible {
    /// A stable, machine-readable name of a failure.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        public var rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }

        public var description: String { rawValue }

        /// The caller sent something that can never succeed as it is.
        public static let invalidArgument = Code(rawValue: "invalidArgument")
        /// The named thing does not exist.
        public static let notFound = Code(rawValue: "notFound")
        /// The request contradicts an earlier one (an idempotency key with another body, say).
        public static let conflict = Code(rawValue: "conflict")
        /// A bounded queue or a memory limit is full: try again after a moment.
        public static let overloaded = Code(rawValue: "overloaded")
        /// The peer, broker or owner cannot be reached now: try again.
        public static let unavailable = Code(rawValue: "unavailable")
        /// This node does not own the grain's partition (yet, or any more): ask the owner.
        public static let notOwner = Code(rawValue: "notOwner")
        /// The time that the caller gave has passed.
        public static let deadlineExceeded = Code(rawValue: "deadlineExceeded")
        /// The change may or may not have been committed: repeat the same request id to find out.
        public static let outcomeUnknown = Code(rawValue: "outcomeUnknown")
        /// The handler of the grain refused: its own error, nothing was changed.
        public static let handlerFailed = Code(rawValue: "handlerFailed")
        /// The call would come back to a grain that waits for it.
        public static let callCycle = Code(rawValue: "callCycle")
        /// The grain type, command or query is unknown to this version of the node.
        public static let unimplemented = Code(rawValue: "unimplemented")
        /// Stored state cannot be read; it is kept untouched.
        public static let quarantined = Code(rawValue: "quarantined")
        /// A record, state or message is larger than its limit.
        public static let tooLarge = Code(rawValue: "tooLarge")
        /// The configuration is wrong.
        public static let badConfiguration = Code(rawValue: "badConfiguration")
        /// A defect of Orchestra itself.
        public static let internalError = Code(rawValue: "internalError")
    }

    public var code: Code
    public var message: String
    public var nextStep: String?
    public var cause: (any Error)?

    /// - Parameters:
    ///   - code: what a program branches on.
    ///   - message: what happened, with the values involved.
    ///   - nextStep: what the reader can do about it.
    ///   - cause: the error underneath, if there is one.
    public init(_ code: Code, _ message: String, nextStep: String? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.nextStep = nextStep
        self.cause = cause
    }

    public var description: String {
        var text = "\(code): \(message)"
        if let nextStep { text += " (\(nextStep))" }
        if let cause { text += " [cause: \(cause)]" }
        return text
    }
}
