// Package app builds the service: [Load] checks the [Config], and the [App] starts,
// drains and stops. It imports every other package. Only the commands import it, so
// no other package can read the configuration.
//
// The package never decides about a request.
package app
