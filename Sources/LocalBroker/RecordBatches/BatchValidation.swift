import NIOCore

/// What a client sent is not one well-formed batch.
struct InvalidBatch: Error {
    var error: KafkaErrorCode
    var message: String
}

extension RecordBatch {
    /// What a topic demands of a batch.
    struct Requirements: Sendable {
        /// `max.message.bytes`.
        var maximumBytes: Int
        /// True for compacted topics.
        var requiresKeys: Bool
    }

    /// Checks the records of a produce request for one partition: exactly one batch of format 2, whole, with the right
    /// checksum and the counts that it claims.
    ///
    /// Compressed records are not looked into: they pass through as they are.
    static func validated(
        _ slice: ByteBuffer, requirements: Requirements
    ) throws(InvalidBatch) -> RecordBatch {
        let result: Result<RecordBatch, InvalidBatch> = slice.withUnsafeReadableBytes { bytes in
            do throws(InvalidBatch) {
                let header = try check(bytes, requirements)
                return .success(RecordBatch(header: header, bytes: Array(bytes)))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func check(
        _ bytes: UnsafeRawBufferPointer, _ requirements: Requirements
    ) throws(InvalidBatch) -> RecordBatchHeader {
        if bytes.count > 16, bytes[16] < 2 {
            throw InvalidBatch(
                error: .unsupportedForMessageFormat, message: "message format \(bytes[16]) is not supported, only 2 is")
        }
        guard let header = RecordBatchHeader(bytes) else {
            throw InvalidBatch(error: .corruptMessage, message: "\(bytes.count) bytes are no record batch")
        }
        guard header.magic == 2 else {
            throw InvalidBatch(error: .invalidRecord, message: "magic \(header.magic) is unknown")
        }
        guard header.byteCount >= RecordBatchHeader.size, header.byteCount <= bytes.count else {
            throw InvalidBatch(
                error: .corruptMessage,
                message: "the batch claims \(header.byteCount) bytes, \(bytes.count) were sent")
        }
        guard header.byteCount == bytes.count else {
            throw InvalidBatch(
                error: .invalidRecord, message: "a partition of a produce request must hold exactly one batch")
        }
        guard header.byteCount <= requirements.maximumBytes else {
            throw InvalidBatch(
                error: .messageTooLarge,
                message: "the batch has \(header.byteCount) bytes, the topic's max.message.bytes is "
                    + "\(requirements.maximumBytes)")
        }
        guard RecordBatchHeader.checksum(ofBatch: bytes) == header.checksum else {
            throw InvalidBatch(error: .corruptMessage, message: "the checksum of the batch is wrong")
        }
        try checkFields(header)
        if !header.isCompressed { try checkRecords(bytes, header, requirements) }
        return header
    }

    private static func checkFields(_ header: RecordBatchHeader) throws(InvalidBatch) {
        guard !header.isControl else {
            throw InvalidBatch(error: .invalidRecord, message: "clients may not write control batches")
        }
        guard header.recordCount >= 1, header.lastOffsetDelta == header.recordCount - 1 else {
            throw InvalidBatch(
                error: .invalidRecord,
                message: "the batch claims \(header.recordCount) records and last offset delta "
                    + "\(header.lastOffsetDelta)")
        }
        guard header.compressionType <= 4 else {
            throw InvalidBatch(
                error: .unsupportedCompressionType, message: "compression \(header.compressionType) is unknown")
        }
        if header.producerID >= 0 {
            guard header.producerEpoch >= 0, header.baseSequence >= 0 else {
                throw InvalidBatch(
                    error: .invalidRecord,
                    message: "producer \(header.producerID) sent epoch \(header.producerEpoch), sequence "
                        + "\(header.baseSequence)")
            }
        } else if header.isTransactional {
            throw InvalidBatch(error: .invalidRecord, message: "a transactional batch needs a producer id")
        }
    }

    private static func checkRecords(
        _ bytes: UnsafeRawBufferPointer, _ header: RecordBatchHeader, _ requirements: Requirements
    ) throws(InvalidBatch) {
        var reader = RecordReader(batch: bytes)
        for expected in 0..<header.recordCount {
            guard let record = reader.next() else {
                throw InvalidBatch(error: .invalidRecord, message: "record \(expected) of the batch is malformed")
            }
            guard record.offsetDelta == expected else {
                throw InvalidBatch(
                    error: .invalidRecord,
                    message: "record \(expected) of the batch has offset delta \(record.offsetDelta)")
            }
            if requirements.requiresKeys, record.key == nil {
                throw InvalidBatch(
                    error: .invalidRecord,
                    message: "record \(expected) has no key, which a compacted topic requires")
            }
        }
        guard reader.isAtEnd else {
            throw InvalidBatch(error: .invalidRecord, message: "bytes follow the last record of the batch")
        }
    }
}
