import Foundation
import OrchestraCore

/// The generation of a node: the start time that tells a restarted node from its predecessor.
enum NodeGeneration {
    /// Takes the next generation of a node and remembers it in the data directory.
    ///
    /// If the clock went back since the last start, the last generation plus one is taken: a
    /// generation must never seem older than one that others have seen.
    ///
    /// - Parameters:
    ///   - nodeID: a name that may be part of a file name.
    ///   - now: milliseconds since 1970 by the wall clock.
    static func next(of nodeID: String, in directory: DataDirectory, now: Timestamp) throws(OrchestraError) -> Int64 {
        try directory.make(directory.nodeDirectory)
        let path = "\(directory.nodeDirectory)/\(nodeID).generation"
        let stored = (try? String(contentsOfFile: path, encoding: .utf8)).flatMap {
            Int64($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        // A stored value that cannot be counted up is damaged: nothing started 292 million years from now.
        let lowest = stored.flatMap { $0 < .max ? $0 + 1 : nil } ?? 0
        let generation = max(now.millisecondsSinceEpoch, lowest)
        do {
            try "\(generation)\n".write(toFile: path, atomically: true, encoding: .utf8)
        } catch {
            throw OrchestraError(
                .badConfiguration, "cannot write \(path): \(error.localizedDescription)",
                nextStep: "make it writable, or choose another directory with --data-dir")
        }
        return generation
    }

    static func wallClock() -> Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64(Date.now.timeIntervalSince1970 * 1000))
    }
}
