// Package linewriter writes the lines of many callers to one output, and keeps a
// broken or stuck output from stopping the callers.
//
// One goroutine owns the output. All lines that wait are written with one
// write(2) (group commit). There are two kinds of lines:
//
//   - [Writer.Append] waits until the operating system has the line, for at most
//     two seconds. Its caller learns whether the line was accepted.
//   - [Writer.Write] never waits and never fails. Its lines are dropped and
//     counted while the output does not keep up.
//
// "Accepted" means that write(2) has returned: the line survives the end of the
// process, but not a power failure. There is no fsync.
package linewriter
