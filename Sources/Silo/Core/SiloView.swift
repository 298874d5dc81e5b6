/// The live silos of a cluster, as one node's membership sees them.
///
/// Views of different nodes need not agree at any moment; nothing that must be right depends on it.
package struct SiloView: Sendable, Equatable {
    package struct Silo: Sendable, Hashable {
        package var id: String
        /// Tells a restarted silo from its predecessor.
        package var generation: Int64
        /// The share of partitions that it should get, relative to others; 0: none, it is being drained.
        package var weight: UInt32

        package init(id: String, generation: Int64, weight: UInt32 = 100) {
            self.id = id
            self.generation = generation
            self.weight = weight
        }
    }

    /// Counts the views of this node.
    package var version: UInt64
    package var silos: [Silo]

    package init(version: UInt64, silos: [Silo]) {
        self.version = version
        self.silos = silos
    }

    package func silo(_ id: String) -> Silo? { silos.first { $0.id == id } }
}
