import Avro
package import EventLog
package import OrchestraCore
package import Placement
import Records

/// Turns consumed records into turn inputs, and sorts out those that cannot become any.
package struct RecordPreparation: Sendable {
    package let catalog: GrainCatalog
    package let partitioner: Partitioner
    package let partition: Int32
    package let codec: any RecordCoding

    package init(catalog: GrainCatalog, partitioner: Partitioner, partition: Int32, codec: any RecordCoding) {
        self.catalog = catalog
        self.partitioner = partitioner
        self.partition = partition
        self.codec = codec
    }

    package enum Result: Sendable {
        case turns([TurnInput])
        case direct(DirectOutcome.Kind)
        /// The writer's schema must be fetched first: use ``prepareFetching(_:)``.
        case needsSchema
    }

    /// Prepares a record whose writer's schema is known.
    package func prepare(_ record: ConsumedRecord) -> Result {
        decide(record) { topic, value in
            if topic == Topics.commands {
                return try codec.decodeIfKnown(GrainCommandRecord.self, from: value)
            }
            return try catalog.subscribers[topic]?.first?.streams[topic]?.decodeIfKnown(value, codec)
        }
    }

    /// Prepares any record.
    ///
    /// - Throws: ``OrchestraError`` with `unavailable` when the registry cannot be reached: wait and try again.
    package func prepareFetching(_ record: ConsumedRecord) async throws(OrchestraError) -> Result {
        let first = prepare(record)
        guard case .needsSchema = first, let value = record.value else { return first }
        let topic = record.topicPartition.topic
        let event: any StreamRecord
        do {
            if topic == Topics.commands {
                event = try await codec.decode(GrainCommandRecord.self, from: value)
            } else if let stream = catalog.subscribers[topic]?.first?.streams[topic] {
                event = try await stream.decode(value, codec)
            } else {
                return first
            }
        } catch let error as AvroError where error.isRetriable {
            throw error.orchestraError
        } catch {
            return .direct(RecordPreparation.undecodable(error))
        }
        return decide(record) { _, _ in event }
    }

    private func decide(
        _ record: ConsumedRecord, decode: (String, [UInt8]) throws -> (any StreamRecord)?
    ) -> Result {
        let topic = record.topicPartition.topic
        guard let keyBytes = record.key else {
            return .direct(.deadLetter(code: "nullKey", reason: "the record has no key, so it belongs to no grain"))
        }
        guard !keyBytes.isEmpty else {
            return .direct(.deadLetter(code: "emptyKey", reason: "the record's key is empty"))
        }
        guard let key = String(validating: keyBytes, as: UTF8.self), (try? GrainID(type: "any", key: key)) != nil else {
            let reason =
                "a key of \(keyBytes.count) bytes is no grain key: it is not UTF-8, has a NUL, or is longer "
                + "than \(GrainID.maximumKeyLength) bytes"
            return .direct(.deadLetter(code: "invalidKey", reason: reason))
        }
        let home = partitioner.partition(forKey: keyBytes)
        guard home == partition else { return .direct(.republish(partition: home)) }
        guard let value = record.value else {
            return .direct(.deadLetter(code: "nullValue", reason: "the record has no value"))
        }
        do {
            guard let event = try decode(topic, value) else { return .needsSchema }
            return try turns(for: event, key: key, record)
        } catch {
            return .direct(RecordPreparation.undecodable(error))
        }
    }

    private func turns(for event: any StreamRecord, key: String, _ record: ConsumedRecord) throws -> Result {
        if let command = event as? GrainCommandRecord { return try turn(for: command, key: key, record) }
        let topic = record.topicPartition.topic
        let traceParent = record.headers.last { $0.name == "traceparent" }?.value.flatMap {
            String(validating: $0, as: UTF8.self)
        }
        return .turns(
            try catalog.subscribers[topic, default: []].map { kind in
                TurnInput(
                    source: .record(record), grain: try GrainID(type: kind.type, key: key),
                    handler: .event(topic: topic), payload: .event(event), traceParent: traceParent)
            })
    }

    private func turn(for command: GrainCommandRecord, key: String, _ record: ConsumedRecord) throws -> Result {
        guard command.grainKey == key else {
            let reason = "a command for \"\(command.grainKey)\" is keyed \"\(key)\""
            return .direct(.deadLetter(code: "invalidKey", reason: reason))
        }
        let type = try GrainType(command.grainType)
        let address = ReplyAddress(command)
        guard catalog.kinds[type] != nil else {
            let what = catalog.volatileKinds[type] == nil ? "unknown" : "volatile, which cannot be told,"
            let reason = "\(command.sentBy) sent \(command.method) to \(what) grain type \"\(type)\""
            guard let address else { return .direct(.deadLetter(code: "unimplemented", reason: reason)) }
            return .direct(
                .failure(
                    try address.failure(
                        OrchestraError(.unimplemented, reason), from: GrainID(type: type, key: key),
                        at: command.sentAt, traceParent: command.traceParent)))
        }
        let (handler, payload): (HandlerName, TurnPayload) =
            switch command.kind {
            case .command: (.command(command.method), .command(command.payload))
            case .reply, .failure: (.reply(command.method), .reply(try ToldAnswer(command)))
            }
        return .turns([
            TurnInput(
                source: .record(record), grain: try GrainID(type: type, key: key), handler: handler, payload: payload,
                traceParent: command.traceParent, replyAddress: address)
        ])
    }

    private static func undecodable(_ error: any Error) -> DirectOutcome.Kind {
        let code = (error as? AvroError).map { $0.code.rawValue } ?? "undecodable"
        return .deadLetter(code: code, reason: "\(error)")
    }
}
