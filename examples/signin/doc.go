// Package signin tests the mode forward against real applications. Its tests need the
// tag signin, Node and the packages of package.json, and Debian's python3-django.
package signin
