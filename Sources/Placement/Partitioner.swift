package import OrchestraCore

/// Decides which partition a key belongs to, exactly as Kafka's default partitioner does for the same number of
/// partitions. Every record, command and call for one key goes through here, so they all meet on one owner.
package struct Partitioner: Sendable, Hashable {
    /// How many partitions every grain topic has.
    package let partitionCount: Int32

    /// - Parameter partitionCount: at least 1.
    /// - Throws: ``OrchestraError`` with `badConfiguration` for a count below 1.
    package init(partitionCount: Int32) throws(OrchestraError) {
        guard partitionCount > 0 else {
            throw OrchestraError(
                .badConfiguration, "the cluster was given \(partitionCount) partitions",
                nextStep: "use at least 1; the default is 16")
        }
        self.partitionCount = partitionCount
    }

    /// The partition of a key as it stands in a record.
    package func partition(forKey key: some Collection<UInt8>) -> Int32 {
        OrchestraCore.partition(forKey: key, count: partitionCount)
    }

    /// The partition of a grain's key, or of any text key.
    package func partition(forKey key: String) -> Int32 { partition(forKey: key.utf8) }

    /// The partition that owns a grain.
    package func partition(of grain: GrainID) -> Int32 { partition(forKey: grain.key.utf8) }
}
