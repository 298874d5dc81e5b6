import Avro
import Records

/// Every generated record that is registered.
let ownRecords: [any AvroRecord.Type] = [
    AgentResult.self, AgentTask.self, DeadLetter.self, GrainCommandRecord.self, GrainStateRecord.self,
    PartitionClaim.self, PartitionProgress.self, SealedRequests.self, SiloHeartbeat.self, WorkflowStartEvent.self,
    WorkflowState.self,
]

extension AvroRecord {
    /// Decodes with the generated code and encodes again.
    static func roundTrip(_ bytes: [UInt8]) throws(AvroError) -> [UInt8] {
        var reader = AvroReader(bytes)
        let record = try Self(from: &reader)
        try reader.finish()
        return try record.encoded()
    }

    /// Decodes with another writer's schema and encodes with the record's own.
    static func resolve(_ bytes: [UInt8], writer: AvroSchema) throws(AvroError) -> [UInt8] {
        let resolver = SchemaResolver(reader: try AvroSchema(parsing: avroSchema), writer: writer)
        return try Self(resolving: try resolver.resolve(try writer.decode(bytes))).encoded()
    }

    func encoded() throws(AvroError) -> [UInt8] {
        var writer = AvroWriter()
        write(to: &writer)
        return try writer.finish()
    }
}
