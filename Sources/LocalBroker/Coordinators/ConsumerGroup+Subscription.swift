/// What the members of a group of consumers subscribe to.
extension ConsumerGroup {
    /// The topics that any member subscribes to; nil if a member's subscription cannot be read.
    var subscribedTopics: Set<String>? {
        var topics: Set<String> = []
        for member in members {
            guard let subscribed = Self.topics(inSubscription: member.metadata(for: protocolName)) else { return nil }
            topics.formUnion(subscribed)
        }
        return topics
    }

    /// Reads the beginning of a `ConsumerProtocolSubscription`: version (int16), then an array (int32 count) of strings
    /// (int16 length), the same in all versions.
    static func topics(inSubscription bytes: [UInt8]) -> [String]? {
        var rest = bytes[...]
        func integer(_ width: Int) -> Int? {
            guard rest.count >= width else { return nil }
            defer { rest = rest.dropFirst(width) }
            return rest.prefix(width).reduce(0) { $0 << 8 | Int($1) }
        }
        guard integer(2) != nil, let count = integer(4), count <= rest.count / 2 else { return nil }
        var topics: [String] = []
        for _ in 0..<count {
            guard let length = integer(2), length <= rest.count else { return nil }
            topics.append(String(decoding: rest.prefix(length), as: UTF8.self))
            rest = rest.dropFirst(length)
        }
        return topics
    }
}
