/// A type with an Avro binary form: the records, enumerations and fixed types that the generator writes.
public protocol AvroSerializable: Sendable, Hashable {
    /// Reads a value that was written with the same schema.
    ///
    /// - Throws: ``AvroError`` for bytes that the schema does not allow.
    init(from reader: inout AvroReader) throws(AvroError)

    /// Writes the value in its binary form.
    func write(to writer: inout AvroWriter)

    /// Takes over a value that was decoded with another writer's schema and resolved to this type's own
    /// schema: fields are found by name, defaults, aliases and promotions have been applied.
    ///
    /// - Throws: ``AvroError`` when a field is missing or of another type.
    init(resolving value: AvroValue) throws(AvroError)
}

/// A Swift struct generated from a record schema; see ``AvroSerializable``.
public protocol AvroRecord: AvroSerializable {
    /// The record's full name: namespace, dot, name.
    static var avroName: String { get }
    /// The schema as it is registered: the JSON text that the struct was generated from.
    static var avroSchema: String { get }
}
