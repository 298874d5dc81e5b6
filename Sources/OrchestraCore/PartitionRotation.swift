/// The partitions of a topic, one after the other and all equally often.
///
/// Consumers often have neighbouring partitions, so each step is a large part of the circle.
package struct PartitionRotation: Sendable, Hashable {
    /// The partition whose turn it is.
    package private(set) var current: Int32
    private let count: Int32
    /// Shares no divisor with the count, so all partitions get their turn.
    private let stride: Int32

    /// - Parameters:
    ///   - count: how many partitions there are; less than 1 counts as 1.
    ///   - first: where to begin; any number.
    package init(count: Int32, first: Int32 = 0) {
        self.count = max(count, 1)
        current = Int32(first.magnitude % UInt32(self.count))
        var stride = max(self.count / 8 * 5, 1)
        while PartitionRotation.greatestDivisor(stride, self.count) > 1 { stride += 1 }
        self.stride = stride
    }

    package mutating func advance() { current = Int32((Int64(current) + Int64(stride)) % Int64(count)) }

    private static func greatestDivisor(_ a: Int32, _ b: Int32) -> Int32 { b == 0 ? a : greatestDivisor(b, a % b) }
}
