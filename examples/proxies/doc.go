// Package proxies tests the configurations of reverse proxies in this folder. It
// starts each proxy with the real service and an application behind it, and
// sends requests as browsers do. It contains only tests, behind the build tag
// proxies: run `make test-proxies`, which needs nginx, HAProxy and Caddy.
//
// It never leaves 127.0.0.0/8, and never touches a proxy of the machine's own.
package proxies
