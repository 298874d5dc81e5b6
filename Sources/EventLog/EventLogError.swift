/// A failure of the event log, sorted by what the caller can do about it.
package struct EventLogError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What the caller can do.
    package enum Kind: String, Sendable, Hashable {
        /// Nothing was changed: the same call may succeed later.
        case retriable
        /// The transaction was aborted cleanly: its batch may be run again.
        case abortable
        /// A newer producer with the same transactional id exists (or the broker timed this one's transaction out):
        /// this one can never write again.
        case fenced
        /// The client can never be used again: close it and make a new one.
        case fatal
        /// The records may or may not have been written.
        case outcomeUnknown
        /// The time given has passed; nothing is known to have been changed.
        case timedOut
        /// The bounds of the send queue are reached: nothing was sent. Wait for what is outstanding.
        case queueFull
        /// The record is larger than the client or the topic allows: it can never be sent as it is.
        case tooLarge
        /// The offset to start from does not exist (any more).
        case offsetOutOfRange
        /// The topic or partition does not exist.
        case unknownTopic
        /// The client was closed, or the waiting task was cancelled.
        case closed
        /// A property is unknown, reserved, or has a value that librdkafka refuses.
        case badConfiguration
    }

    package var kind: Kind
    /// librdkafka's name of the error, such as `_MSG_TIMED_OUT`.
    package var name: String
    /// What happened, with the values involved.
    package var message: String
    /// What the reader can do about it, where that is known.
    package var nextStep: String?

    package init(kind: Kind, name: String, message: String, nextStep: String? = nil) {
        self.kind = kind
        self.name = name
        self.message = message
        self.nextStep = nextStep
    }

    package var description: String {
        "\(kind.rawValue): \(message) [\(name)]" + (nextStep.map { " (\($0))" } ?? "")
    }
}
