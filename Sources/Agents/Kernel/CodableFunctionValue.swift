#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension FunctionValue where Self: Codable {
    /// An object, without saying which members: declare your own schema to tell a model more.
    public static var jsonSchema: JSONValue { ["type": "object"] }

    public init(functionValue: JSONValue) throws {
        self = try JSONDecoder().decode(Self.self, from: Data(functionValue.jsonBytes))
    }

    public func functionValue() throws -> JSONValue {
        try JSONValue(parsing: JSONEncoder().encode(self))
    }
}
