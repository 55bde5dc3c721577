// Package deploy holds no code. Its tests read the deployment files of the
// project (the Dockerfile, the compose file, the Kubernetes manifests) and check
// what they promise. It is a module of its own so that what these tests need never
// becomes a dependency of the service.
package deploy
