// Package providers tests sign-in with the identity providers that people already
// have. A row of its tables has the settings of docs/authentication.md, and the
// documents and tokens of one provider as it publishes them. The service runs with
// these settings and real issuer URLs. A proxy of the test answers for the provider's
// hosts, with certificates of its own authority. A row shows that the service reads
// what the provider's documentation describes. It does not show that the provider still
// sends it.
//
// Other tests sign users in with oidc-provider, a certified provider from npm, in a
// process of its own. make install-providers installs it.
//
// The package contains only tests. It never leaves 127.0.0.1.
package providers
