// Package listener is an HTTP server that bounds its connections, evicts slow
// clients, and loses no request when it stops.
//
// It follows each connection itself. When http.Server stops, it closes idle
// connections even if a request has just arrived on one. It also accepts any
// number of connections.
//
// The package knows nothing of the service. It never looks into a request, except
// for the end of its body.
package listener
