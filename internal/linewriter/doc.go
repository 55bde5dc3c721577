// Package linewriter writes the lines of many callers to one output. A broken or stuck
// output never blocks the callers.
//
// One goroutine owns the output. It writes all waiting lines with one write(2) (group
// commit). There are two kinds of lines:
//
//   - [Writer.Append] waits until the operating system has the line, for at most two
//     seconds. Its caller learns whether the line was accepted.
//   - [Writer.Write] never waits and never fails. If the output does not keep up, its
//     lines are dropped and counted.
//
// "Accepted" means that write(2) has returned: the line survives the process, but not a
// power failure. There is no fsync.
package linewriter
