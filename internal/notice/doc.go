// Package notice sends notices from one replica to all others through Redis's
// publish and subscribe, so that they drop cached answers at once.
//
// A notice is encrypted and authenticated. It is only a hint: it may be lost or come
// twice, and a [Bus] says when some may be missing. The package never delays a
// sender, never keeps a notice anywhere, and knows nothing about its meaning.
package notice
