import Foundation
import OrchestraCore

/// An exclusive lock on a folder, held as long as this object lives; the operating system drops it with the process.
final class DirectoryLock: Sendable {
    private let descriptor: Int32

    /// - Throws: ``OrchestraError`` `unavailable` if another process holds the lock.
    init(directory: String) throws(OrchestraError) {
        let path = directory + "/broker.lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw OrchestraError(
                .badConfiguration, "\(path) cannot be opened: \(String(cString: strerror(errno)))",
                nextStep: "name a folder that this user may write")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw OrchestraError(
                .unavailable, "another broker uses the data folder \(directory)",
                nextStep: "stop it, or choose another folder with --data-dir")
        }
    }

    deinit { close(descriptor) }
}
