/// The stable name of a kind of grain, as it appears in state keys, calls and dashboards.
///
/// A name is 1 to 100 of the characters `A-Z a-z 0-9 . _ -`; a literal that is not traps when the program starts.
public struct GrainType: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let name: String

    /// - Parameter name: 1 to 100 of the characters `A-Z a-z 0-9 . _ -`.
    /// - Throws: ``OrchestraError`` with `invalidArgument` for any other name.
    public init(_ name: String) throws(OrchestraError) {
        guard GrainType.isValid(name) else {
            throw OrchestraError(
                .invalidArgument, "\"\(name)\" is not a grain type",
                nextStep: "use 1 to 100 of the characters A-Z a-z 0-9 . _ -")
        }
        self.name = name
    }

    public init(stringLiteral name: String) {
        precondition(GrainType.isValid(name), "\"\(name)\" is not a grain type: use 1 to 100 of A-Z a-z 0-9 . _ -")
        self.name = name
    }

    public var description: String { name }

    private static func isValid(_ name: String) -> Bool {
        (1...100).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

/// The identity of a grain: its type and its key, written `type/key`.
///
/// The key alone decides the partition, so records and calls for the same key meet on the same owner whatever
/// the type.
public struct GrainID: Hashable, Sendable, CustomStringConvertible {
    /// The longest key in bytes of UTF-8.
    public static let maximumKeyLength = 512

    public let type: GrainType
    public let key: String

    /// - Parameters:
    ///   - type: the grain's type.
    ///   - key: 1 to ``maximumKeyLength`` bytes of UTF-8 without NUL.
    /// - Throws: ``OrchestraError`` with `invalidArgument` for an empty key, a longer one, or one with a NUL.
    public init(type: GrainType, key: String) throws(OrchestraError) {
        let length = key.utf8.count
        guard length > 0, length <= GrainID.maximumKeyLength, !key.utf8.contains(0) else {
            throw OrchestraError(
                .invalidArgument, "a grain key of \(length) bytes was given for type \(type)",
                nextStep: "use 1 to \(GrainID.maximumKeyLength) bytes of UTF-8 without NUL")
        }
        self.type = type
        self.key = key
    }

    /// Reads `type/key`; the key may itself contain slashes.
    public init(parsing text: String) throws(OrchestraError) {
        guard let slash = text.firstIndex(of: "/") else {
            throw OrchestraError(.invalidArgument, "\"\(text)\" is not a grain id", nextStep: "write it type/key")
        }
        try self.init(type: GrainType(String(text[..<slash])), key: String(text[text.index(after: slash)...]))
    }

    public var description: String { "\(type.name)/\(key)" }

    /// By the key alone: few grains of different types share one, and ids are looked up all the time.
    public func hash(into hasher: inout Hasher) { hasher.combine(key) }
}
