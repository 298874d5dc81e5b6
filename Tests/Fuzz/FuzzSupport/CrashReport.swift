import Foundation

/// Names the case when the process traps.
package enum CrashReport {
    nonisolated(unsafe) private static let cell = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)

    package static var current: UInt64 {
        get { cell.pointee }
        set { cell.pointee = newValue }
    }

    package static func install() {
        current = 0
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT] {
            signal(number) { number in
                // Only what a signal handler may do: no allocation, no print.
                var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
                withUnsafeMutableBytes(of: &digits) { buffer in
                    var rest = CrashReport.current
                    var end = buffer.count
                    buffer[end - 1] = 10
                    end -= 1
                    repeat {
                        end -= 1
                        buffer[end] = UInt8(48 + rest % 10)
                        rest /= 10
                    } while rest > 0
                    let title: StaticString = "fuzz: trapped in case "
                    _ = write(2, title.utf8Start, title.utf8CodeUnitCount)
                    _ = write(2, buffer.baseAddress! + end, buffer.count - end)
                }
                signal(number, SIG_DFL)
                raise(number)
            }
        }
    }
}
