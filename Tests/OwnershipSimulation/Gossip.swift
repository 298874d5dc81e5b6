import Silo

/// Where the silos' views come from. What it is told is the truth; what it tells each process, and when, is its own.
protocol Gossip: AnyObject {
    func started(_ process: SiloProcess)
    /// A silo says that it takes no more partitions.
    func leaving(_ process: SiloProcess)
    /// It has ended in order.
    func ended(_ process: SiloProcess)
    func killed(_ process: SiloProcess)
    func paused(_ process: SiloProcess)
    func resumed(_ process: SiloProcess)
    /// Silos on different sides do not hear of each other; none: all do.
    func split(_ sides: [String: Int])
    /// These others, and no more, do not hear of a silo, though nothing is wrong with it.
    func lose(_ name: String, for others: [String])
    /// Views change all the time, each for itself. The duration is in microseconds.
    func confuse(for duration: Int64)
    func heal()
}
