/// Murmur2 exactly as Kafka's Java client computes it (`org.apache.kafka.common.utils.Utils.murmur2`), so that
/// a record keyed by any Kafka client with the default partitioner reaches the partition that Orchestra expects.
///
/// - Parameter bytes: the serialized key.
/// - Returns: the signed 32-bit hash; `murmur2("foobar") == -790332482`.
public func murmur2(_ bytes: some Collection<UInt8>) -> Int32 {
    bytes.withContiguousStorageIfAvailable { hash($0) } ?? Array(bytes).withUnsafeBufferPointer { hash($0) }
}

private func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
    let multiplier: UInt32 = 0x5bd1_e995
    let shift: UInt32 = 24
    var hash: UInt32 = 0x9747_b28c ^ UInt32(truncatingIfNeeded: bytes.count)
    var word: UInt32 = 0
    var filled: UInt32 = 0
    for byte in bytes {
        word |= UInt32(byte) << (8 * filled)
        filled += 1
        guard filled == 4 else { continue }
        word &*= multiplier
        word ^= word >> shift
        word &*= multiplier
        hash = (hash &* multiplier) ^ word
        word = 0
        filled = 0
    }
    if filled > 0 {
        hash = (hash ^ word) &* multiplier
    }
    hash = (hash ^ (hash >> 13)) &* multiplier
    hash ^= hash >> 15
    return Int32(bitPattern: hash)
}

/// The partition of a key among `count` partitions: `(murmur2(key) & 0x7fffffff) % count`, Kafka's default.
///
/// - Precondition: `count` is at least 1.
public func partition(forKey key: some Collection<UInt8>, count: Int32) -> Int32 {
    precondition(count > 0, "a topic has at least one partition, not \(count)")
    return (murmur2(key) & 0x7fff_ffff) % count
}
