// Package deploy has only tests. They check the promises of the Dockerfile, the
// compose file and the Kubernetes manifests. It is a module of its own, so that the
// service never depends on the libraries of these tests.
package deploy
