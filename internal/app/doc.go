// Package app is the service put together: the checked [Config], and the [App]
// that starts, drains and stops. It is the only place that knows every room,
// and only the commands import it, so that no room can reach for the
// configuration.
//
// The package decides nothing about a request.
package app
