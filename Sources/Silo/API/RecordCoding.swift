package import Avro

/// What the runtime needs of a record codec. ``RecordCodec`` is the real one; tests bring one without a registry.
package protocol RecordCoding: Sendable {
    /// Registers a record's schema under a subject; needed before the record can be encoded.
    func register<R: AvroRecord>(_ record: R.Type, subject: String) async throws
    /// The record in Confluent's frame.
    func encode<R: AvroRecord>(_ record: R) throws(AvroError) -> [UInt8]
    /// `nil`: the writer's schema is not known yet.
    func decodeIfKnown<R: AvroRecord>(_ record: R.Type, from bytes: [UInt8]) throws(AvroError) -> R?
    /// Fetches an unknown writer's schema from the registry.
    func decode<R: AvroRecord>(_ record: R.Type, from bytes: [UInt8]) async throws(AvroError) -> R
}

extension RecordCodec: RecordCoding {}
