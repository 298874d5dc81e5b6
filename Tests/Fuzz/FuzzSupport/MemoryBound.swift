import Foundation

/// Small inputs must not make the process large.
package enum MemoryBound {
    package static var peakMegabytes: Int {
        var usage = rusage()
        #if os(Linux)
            getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
            return usage.ru_maxrss / 1024
        #else
            getrusage(RUSAGE_SELF, &usage)
            return usage.ru_maxrss >> 20
        #endif
    }

    /// - Throws: ``FuzzFailure`` if the process has ever held more than so much.
    package static func check(megabytes limit: Int) throws {
        guard peakMegabytes <= limit else {
            throw FuzzFailure("the process took \(peakMegabytes) MB; the limit is \(limit)")
        }
    }

    /// From here on the process may reserve only so much more, touched or not: an allocation by a size that some
    /// input claims fails, which traps in the case that made it. For processes of one thread; Linux only.
    ///
    /// - Returns: whether that holds. The address sanitizer reserves terabytes, so under it nothing is limited.
    package static func limitGrowth(megabytes: Int) -> Bool {
        #if os(Linux)
            guard
                let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?
                    .split(separator: " ").first.flatMap({ Int($0) })
            else { return false }
            let reserved = pages * sysconf(Int32(_SC_PAGESIZE))
            guard reserved < 1 << 40 else { return false }
            let limit = rlim_t(reserved + megabytes << 20)
            var bounds = rlimit(rlim_cur: limit, rlim_max: limit)
            return setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &bounds) == 0
        #else
            return false
        #endif
    }
}
