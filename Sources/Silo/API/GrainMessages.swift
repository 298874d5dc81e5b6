import FoundationEssentials
package import OrchestraCore

/// A request that may change a grain. It is answered after its commit; repeating its request id gets the recorded
/// reply instead of a second effect.
public protocol GrainCommand: Codable, Sendable {
    /// What the grain answers. Use ``NoReply`` when there is nothing to say.
    associatedtype Reply: Codable & Sendable

    /// The stable name of the command on the wire, unique within its grain type. Default: the Swift type's name.
    static var name: String { get }
}

/// A question to a grain. It is answered at once from the committed state and changes nothing.
public protocol GrainQuery: Codable, Sendable {
    /// What the grain answers.
    associatedtype Reply: Codable & Sendable

    /// The stable name of the query on the wire, unique within its grain type. Default: the Swift type's name.
    static var name: String { get }
}

/// The reply of a command that has nothing to say.
public struct NoReply: Codable, Sendable, Hashable {
    public init() {}
}

extension GrainCommand {
    public static var name: String { "\(Self.self)" }
}

extension GrainQuery {
    public static var name: String { "\(Self.self)" }
}

/// A reply that is JSON already: it travels as it is.
package struct JSONDocument: Codable, Sendable, Hashable {
    package let bytes: [UInt8]

    package init(_ value: JSONOutput) { bytes = value.encoded() }

    fileprivate init(bytes: [UInt8]) { self.bytes = bytes }
}

/// The encoding of commands, queries and their replies: JSON, so that nodes of different versions understand each
/// other.
package enum MessageCoding {
    private static let encoder = JSONEncoder.compact
    private static let decoder = JSONDecoder()

    /// - Throws: ``OrchestraError`` with `invalidArgument` for a value that JSON cannot hold (a NaN, say).
    package static func encode(_ value: some Encodable) throws(OrchestraError) -> [UInt8] {
        // Types are compared first: a cast that fails takes longer.
        if type(of: value) == JSONDocument.self, let document = value as? JSONDocument { return document.bytes }
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw OrchestraError(
                .invalidArgument, "\(type(of: value)) cannot be written as JSON", cause: error)
        }
    }

    /// - Throws: ``OrchestraError`` with `invalidArgument` for bytes that are not the JSON of a `Value`.
    package static func decode<Value: Decodable>(_: Value.Type, from bytes: [UInt8]) throws(OrchestraError) -> Value {
        if Value.self == JSONDocument.self, let document = JSONDocument(bytes: bytes) as? Value { return document }
        do {
            return try decoder.decode(Value.self, from: Data(bytes))
        } catch {
            throw OrchestraError(
                .invalidArgument, "\(bytes.count) bytes are not the JSON of a \(Value.self)",
                nextStep: "check that caller and silo run compatible versions of it", cause: error)
        }
    }
}

extension JSONEncoder {
    /// Writes the same value always as the same bytes.
    static var compact: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}
