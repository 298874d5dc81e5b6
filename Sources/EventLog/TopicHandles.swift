internal import CRdKafka
internal import Synchronization

/// librdkafka's handles of topics, one for each topic that was written to, so that a record costs no look-up by name.
final class TopicHandles: Sendable {
    private struct Handle: @unchecked Sendable {
        // librdkafka's topic handles are reference counted and may be used from any thread.
        let raw: OpaquePointer
    }

    private let handles = Mutex<[String: Handle]>([:])

    /// The handle of a topic; `nil` if librdkafka refuses the name.
    func handle(of topic: String, in client: OpaquePointer) -> OpaquePointer? {
        let handle = handles.withLock { handles -> Handle? in
            if let known = handles[topic] { return known }
            let created = rd_kafka_topic_new(client, topic, nil).map { Handle(raw: $0) }
            handles[topic] = created
            return created
        }
        return handle?.raw
    }

    /// Gives all handles back; must run before their client is destroyed.
    func destroyAll() {
        let all = handles.withLock { handles in
            defer { handles = [:] }
            return handles
        }
        for handle in all.values { rd_kafka_topic_destroy(handle.raw) }
    }
}

extension ProducerRecord {
    /// What librdkafka compares with `message.max.bytes`: key, value and headers.
    package var size: Int {
        let body = (key?.count ?? 0) + (value?.count ?? 0)
        return headers.reduce(body) { $0 + $1.name.utf8.count + ($1.value?.count ?? 0) }
    }

    /// What the record takes in a queue: its bytes and librdkafka's own bookkeeping.
    var queueSize: Int { size + 256 }

    /// Queues a copy of the record in librdkafka. Does not block.
    ///
    /// - Parameter opaque: comes back with the delivery report.
    func produce(
        to client: OpaquePointer, topics: TopicHandles, opaque: UnsafeMutableRawPointer?
    ) -> rd_kafka_resp_err_t {
        guard let topic = topics.handle(of: topic, in: client) else { return rd_kafka_last_error() }
        let native = nativeHeaders()
        let code = withBytes(of: key) { keyBytes in
            withBytes(of: value) { valueBytes in
                orchestra_produce(
                    client, topic, partition, keyBytes.baseAddress, keyBytes.count, valueBytes.baseAddress,
                    valueBytes.count, native, opaque)
            }
        }
        if code != RD_KAFKA_RESP_ERR_NO_ERROR, let native { rd_kafka_headers_destroy(native) }
        return code
    }

    private func nativeHeaders() -> OpaquePointer? {
        guard !headers.isEmpty, let native = rd_kafka_headers_new(headers.count) else { return nil }
        for header in headers {
            var name = header.name
            name.withUTF8 { name in
                withBytes(of: header.value) { value in
                    _ = name.withMemoryRebound(to: CChar.self) { name in
                        rd_kafka_header_add(native, name.baseAddress, name.count, value.baseAddress, value.count)
                    }
                }
            }
        }
        return native
    }
}

/// The bytes with an address that is `nil` only for `nil`: librdkafka tells an empty value from a tombstone by it.
private func withBytes<Outcome>(of bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer) -> Outcome) -> Outcome {
    guard let bytes else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
    guard !bytes.isEmpty else {
        return withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { spare in
            body(UnsafeRawBufferPointer(start: spare.baseAddress, count: 0))
        }
    }
    return bytes.withUnsafeBytes(body)
}
