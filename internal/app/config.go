package app

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/handler"
	"dropgate/internal/keyring"
	"dropgate/internal/ratelimit"
)

// Config is the configuration of the service. [Load] makes one and checks every
// rule about it.
//
// The tags are the only description of the settings: `server -help` prints it,
// and docs/configuration.md is generated from it. The tag unset says in words
// what an unset setting means; envDefault is its default value. The tag heading
// starts a group of settings. The tag values allows several values, and says whether
// the rules about the setting see them as lines or between commas.
type Config struct {
	Environment    clienttoken.Environment `heading:"Dwolla" env:"DWOLLA_ENVIRONMENT" unset:"required" help:"sandbox or production."`
	ClientID       string                  `env:"DWOLLA_CLIENT_ID" unset:"required" help:"Key of the Dwolla application."`
	ClientSecret   clienttoken.Secret      `env:"DWOLLA_CLIENT_SECRET" values:"lines" unset:"required" help:"Secret of the Dwolla application."`
	BaseURL        string                  `env:"DWOLLA_BASE_URL" unset:"by environment" help:"Another root URL of the Dwolla API, such as an emulator or a gateway. Must be https in production."`
	Timeout        time.Duration           `env:"DWOLLA_TIMEOUT" envDefault:"5s" help:"Timeout of one attempt of a call to Dwolla, 100ms to 10s."`
	MaxCalls       int                     `env:"DWOLLA_MAX_CONCURRENT" envDefault:"256" help:"Concurrent requests to Dwolla, 1 to 10000. Up to three times as many wait for at most 1s; all others get 503."`
	TraceContext   bool                    `env:"DWOLLA_TRACE_CONTEXT" envDefault:"false" help:"true sends X-Request-Id and traceparent to Dwolla, too. The application always gets them. See docs/tracing.md."`
	AllowedActions []string                `env:"ALLOWED_ACTIONS" unset:"required" help:"Comma-separated actions (customer.read) and components (dwolla-document-upload allows all of its actions)."`

	HTTPAddr       string   `heading:"Listeners" env:"HTTP_ADDR" envDefault:":8080" help:"Address of the public listener."`
	AdminAddr      string   `env:"ADMIN_ADDR" envDefault:":9090" help:"Address of the admin listener, which serves probes, metrics and the directory API. Never expose it."`
	AdminHosts     []string `env:"ADMIN_HOSTS" unset:"none" help:"Comma-separated host names of the admin listener, without ports. localhost and every address of the machine or Pod are always accepted."`
	TLSCert        string   `env:"TLS_CERT_FILE" unset:"plain HTTP" help:"File with a certificate chain in PEM; the public listener then serves TLS. Renewed files are picked up. See docs/deployment.md#encryption."`
	TLSKey         string   `env:"TLS_KEY_FILE" unset:"required with TLS_CERT_FILE" help:"File with the private key of TLS_CERT_FILE in PEM."`
	AdminTLSCert   string   `env:"ADMIN_TLS_CERT_FILE" unset:"plain HTTP" help:"Like TLS_CERT_FILE, for the admin listener."`
	AdminTLSKey    string   `env:"ADMIN_TLS_KEY_FILE" unset:"required with ADMIN_TLS_CERT_FILE" help:"Like TLS_KEY_FILE, for the admin listener."`
	PublicURL      string   `env:"PUBLIC_URL" unset:"required for oidc" help:"Origin at which browsers reach the service, exactly as browsers write it, such as https://app.example.com. Plain http is accepted for localhost only."`
	BasePath       string   `env:"BASE_PATH" envDefault:"/" help:"Prefix of every public route."`
	AppURL         string   `env:"APP_URL" unset:"/ of PUBLIC_URL" help:"Start page of the application: where a sign-in without return_to ends, and the way back on our pages. A path, or a URL of PUBLIC_URL or of an origin in ALLOWED_ORIGINS."`
	SignInErrorURL string   `env:"SIGN_IN_ERROR_URL" unset:"a page of dropgate" help:"Page of the application for failed sign-ins. The browser is sent there with error, request_id and, if known, return_to in the query. A path or URL like APP_URL, without query."`
	MaxHeader      int      `env:"HTTP_MAX_HEADER_BYTES" unset:"16384, or 40960 for bearer" help:"Size of a request's headers, 8192 to 65536 bytes. More of them mean fewer connections. See docs/security.md#connections-and-requests."`
	AllowedOrigins []string `env:"ALLOWED_ORIGINS" unset:"none" help:"Comma-separated origins of other sites whose pages may call the service with credentials, exactly as browsers write them. App shells such as capacitor://localhost are origins, too."`
	TrustedProxies []string `env:"TRUSTED_PROXIES" unset:"none; required for proxy" help:"Comma-separated CIDRs or addresses of peers whose X-Forwarded-For is believed, whose X-Request-Id is logged and whose traceparent is continued. For the mode proxy: the addresses of that proxy."`

	AuthModes       []string           `heading:"Sign-in" env:"AUTH_MODES" unset:"required" help:"Comma-separated modes, tried in this order: bearer, oidc, forward (must be the last one), proxy (must be the first one). See docs/authentication.md."`
	BearerIssuer    string             `env:"AUTH_BEARER_ISSUER" unset:"required for bearer" help:"The iss that tokens must have. A URL must be https in production. Any text is accepted together with AUTH_BEARER_JWKS_URL."`
	BearerAudience  string             `env:"AUTH_BEARER_AUDIENCE" unset:"tokens must have no aud" help:"The aud that tokens must contain. Required for bearer without AUTH_BEARER_CLIENT_IDS and AUTH_BEARER_REQUIRED_CLAIMS."`
	BearerJWKSURL   string             `env:"AUTH_BEARER_JWKS_URL" unset:"found by OpenID discovery" help:"URL of the issuer's signing keys: a JSON Web Key Set, or certificates in PEM by kid. It may have a query. With bearer and oidc together, both modes use it."`
	BearerHeader    string             `env:"AUTH_BEARER_HEADER" envDefault:"Authorization" help:"Header with the token. Another one, such as X-Goog-IAP-JWT-Assertion, holds the token alone; a proxy sets it."`
	BearerCookie    string             `env:"AUTH_BEARER_COOKIE" unset:"none" help:"Name of a cookie that may carry the token in place of the header."`
	BearerTokenType string             `env:"AUTH_BEARER_TOKEN_TYPE" unset:"JWT or no typ is accepted, too" help:"at+jwt accepts only access tokens as in RFC 9068, and so refuses ID tokens."`
	BearerClientIDs []string           `env:"AUTH_BEARER_CLIENT_IDS" unset:"any client" help:"Comma-separated OAuth clients. A token needs azp, client_id, cid or appid, and those present must be among them. When unset, tokens with several audiences are refused."`
	BearerRequired  []string           `env:"AUTH_BEARER_REQUIRED_CLAIMS" unset:"none" help:"Comma-separated claims that tokens must have, such as token_use=access. A claim that is an array must contain the value."`
	OIDCIssuer      string             `env:"AUTH_OIDC_ISSUER" unset:"required for oidc" help:"Issuer URL of the OpenID provider. With bearer and oidc together, it must equal AUTH_BEARER_ISSUER."`
	OIDCClientID    string             `env:"AUTH_OIDC_CLIENT_ID" unset:"required for oidc" help:"The service's client id at the provider."`
	OIDCSecret      clienttoken.Secret `env:"AUTH_OIDC_CLIENT_SECRET" values:"lines" unset:"none; required for oidc without AUTH_OIDC_CLIENT_KEYS, unless AUTH_OIDC_CLIENT_AUTH=none" help:"The service's client secret at the provider, at least 16 characters."`
	OIDCKeys        clienttoken.Secret `env:"AUTH_OIDC_CLIENT_KEYS" lines:"yes" unset:"none" help:"Private keys in PEM for private_key_jwt, each with its certificate after it if the provider knows keys by certificate. The first one that the provider accepts signs."`
	OIDCClientAuth  string             `env:"AUTH_OIDC_CLIENT_AUTH" unset:"chosen by the provider's discovery document" help:"How the service proves its identity: client_secret_basic, client_secret_post, private_key_jwt, or none (a public client with PKCE)."`
	OIDCDiscovery   string             `env:"AUTH_OIDC_DISCOVERY_URL" unset:"under AUTH_OIDC_ISSUER" help:"Another address of the discovery document, on an internal network. Its endpoints for tokens, userinfo and keys may be internal, too; the one for browsers may not."`
	OIDCPush        string             `env:"AUTH_OIDC_PAR" envDefault:"auto" help:"auto pushes the parameters of a sign-in to the provider (RFC 9126) where it offers that; off does not."`
	OIDCParams      string             `env:"AUTH_OIDC_PARAMS" unset:"none" help:"Fixed parameters of every sign-in, percent-encoded: audience=https%3A%2F%2Fapi.example.com&prompt=login."`
	OIDCPassed      []string           `env:"AUTH_OIDC_LOGIN_PARAMS" envDefault:"login_hint,organization,ui_locales,kc_idp_hint,prompt,screen_hint" help:"Comma-separated parameters of /auth/login that are passed on to the provider. Those in AUTH_OIDC_PARAMS win. none passes nothing on."`
	OIDCScopes      string             `env:"AUTH_OIDC_SCOPES" envDefault:"openid profile email" help:"Scopes to request from the provider. Must include openid."`
	ForwardURL      string             `env:"AUTH_FORWARD_URL" unset:"required for forward" help:"URL that says who the user is. It gets the Cookie, Authorization and User-Agent of the request, and its address. Must be https in production."`
	ForwardCache    time.Duration      `env:"AUTH_FORWARD_CACHE" envDefault:"10s" help:"How long an answer of AUTH_FORWARD_URL is cached, 0s to 5m."`
	ForwardCookies  []string           `env:"AUTH_FORWARD_SET_COOKIE" unset:"none" help:"Comma-separated names of cookies that go back to the browser when AUTH_FORWARD_URL sets them, for an application that replaces its session cookie. At most 16."`
	ProxyHeader     string             `env:"AUTH_PROXY_HEADER" envDefault:"X-Forwarded-User" help:"Header in which the proxy sends the user id."`
	ProxySecret     clienttoken.Secret `env:"AUTH_PROXY_SECRET" values:"lines" unset:"required for proxy" help:"What the proxy sends in X-Proxy-Secret, at least 16 characters."`
	UserClaim       string             `env:"AUTH_USER_CLAIM" envDefault:"sub" help:"Claim with the user id, for bearer, oidc and forward: a name, or a path such as user.id or /user/id. With email, all user ids are compared without regard to case. See docs/authentication.md#claims."`

	SessionStore    string             `heading:"Sessions" env:"SESSION_STORE" envDefault:"memory" help:"Where sessions of oidc are kept: memory (for a single replica) or redis."`
	SessionKeys     clienttoken.Secret `env:"SESSION_KEYS" values:"commas" unset:"derived from AUTH_OIDC_CLIENT_SECRET" help:"One to eight comma-separated base64 keys of 32 bytes or more, for oidc. Required without AUTH_OIDC_CLIENT_SECRET. The first one seals sessions and sign-ins; all of them open. With derived keys, removing a client secret ends its sessions. See docs/authentication.md#rotating-session-keys."`
	RedisURL        clienttoken.Secret `env:"REDIS_URL" unset:"none; required for SESSION_STORE=redis" help:"rediss://user:password@host:6379/0, or redis:// without TLS. Also shares the rate limits among replicas. In production see docs/deployment.md#encryption."`
	RedisMode       string             `env:"REDIS_MODE" envDefault:"server" help:"What REDIS_URL leads to: server (one Redis), sentinel (Sentinels, which name the present one) or cluster (a Redis Cluster). See docs/deployment.md#redis-sentinel-and-cluster."`
	SessionIdle     time.Duration      `env:"SESSION_IDLE_TIMEOUT" envDefault:"15m" help:"How long an unused session lasts, 1m to 24h."`
	SessionLifetime time.Duration      `env:"SESSION_LIFETIME" envDefault:"8h" help:"How long any session lasts at most, 5m to 720h."`
	SessionSameSite string             `env:"SESSION_SAMESITE" envDefault:"strict" help:"SameSite of the session cookie: strict, lax, or none for an application on another site."`
	Partitioned     bool               `env:"SESSION_PARTITIONED" envDefault:"false" help:"true for an application in a frame of another site: browsers keep its cookies apart for each such site. Needs SESSION_SAMESITE=none. See docs/authentication.md#in-a-frame-of-another-site."`

	CustomerSource string             `heading:"Customers" env:"CUSTOMER_SOURCE" envDefault:"database" help:"Source of the links between users and Customers: claim (of the sign-in), database (dropgate's own), lookup (the application, over HTTP) or query (the application's PostgreSQL). See docs/directory.md."`
	CustomerClaim  string             `env:"CUSTOMER_CLAIM" envDefault:"dwolla_customer" help:"For claim: the claim with a Customer's id or URL, a name or a path like AUTH_USER_CLAIM."`
	DatabaseURL    clienttoken.Secret `env:"DATABASE_URL" values:"lines" envDefault:"sqlite:dropgate.db" help:"For database and for webhooks: sqlite:FILE (created on first start, for a single replica) or postgres://user:password@host:5432/name. For query: the postgres:// URL of the application's database. In production see docs/deployment.md#encryption."`
	DatabaseMax    int                `env:"DATABASE_MAX_CONNECTIONS" unset:"16, or 8 for query" help:"For PostgreSQL: connections of each replica at most, 2 to 1000. See docs/deployment.md#connections-to-postgresql."`
	DatabaseSchema string             `env:"DATABASE_MIGRATE" envDefault:"start" help:"Who migrates the schema: start (each replica, when it starts) or job (only the command server migrate, for PostgreSQL; a replica waits for it). See docs/upgrades.md."`
	LookupURL      string             `env:"CUSTOMER_LOOKUP_URL" unset:"required for lookup" help:"URL with a placeholder, such as https://app.internal/users/{user}/dwolla-customer. Must be https in production."`
	LookupToken    clienttoken.Secret `env:"CUSTOMER_LOOKUP_TOKEN" values:"lines" unset:"none" help:"For lookup: the bearer token to send to the application, at least 16 characters."`
	CustomerQuery  string             `env:"CUSTOMER_QUERY" lines:"yes" unset:"required for query" help:"One SELECT with the user id as $1 and two result columns: the user id as stored, and a Customer's id or URL."`
	CustomerCache  time.Duration      `env:"CUSTOMER_CACHE" envDefault:"10s" help:"How long a user's Customer and its status are cached, 0s to 5m."`
	StatusInterval time.Duration      `env:"CUSTOMER_STATUS_INTERVAL" envDefault:"0s" help:"How often to read a Customer's status from Dwolla, for services without webhooks: 10s to 24h, or 0s for never."`
	EnrollmentKeys clienttoken.Secret `env:"ENROLLMENT_KEYS" values:"commas" unset:"none" help:"For database: comma-separated base64 keys of 32 bytes or more, of which the first one signs. They let users create their own Customers."`
	WebhookSecret  clienttoken.Secret `env:"DWOLLA_WEBHOOK_SECRET" values:"lines" unset:"none" help:"Secret of the webhook subscription at Dwolla, at least 16 characters. Turns webhooks on."`
	AdminToken     clienttoken.Secret `env:"ADMIN_TOKEN" values:"commas" unset:"none" help:"For database and for oidc: turns the operators' API on, for links and sessions. One token of at least 32 characters, or up to 16 comma-separated NAME:ro:TOKEN (may read) and NAME:rw:TOKEN (may also change). See docs/directory.md#for-operators."`

	RateLimitUser ratelimit.Limit `heading:"Rate limits" env:"RATE_LIMIT_USER" envDefault:"60/1m" help:"Requests of one user, as N per window: a burst of up to N, refilled evenly. N is 25 to 1000000, the window 1s to 24h; off turns the limit off. See docs/limits.md."`
	RateLimitIP   ratelimit.Limit `env:"RATE_LIMIT_IP" envDefault:"300/1m" help:"Requests of one client address, signed in or not; an IPv6 /64 counts as one address. Same format as RATE_LIMIT_USER. Behind a proxy set TRUSTED_PROXIES, or all callers share one allowance."`
	RateLimitNew  ratelimit.Rare  `env:"RATE_LIMIT_CREATE" envDefault:"2/1h" help:"Tokens for customer.create that one user gets, in addition to RATE_LIMIT_USER. Same format, with N from 1."`

	HTTPSProxy clienttoken.Secret `heading:"Outgoing connections" env:"HTTPS_PROXY" unset:"none" help:"Proxy for https connections, such as http://proxy.internal:3128 or http://user:password@proxy.internal:3128. Never for PostgreSQL, Redis and loopback addresses. See docs/deployment.md#an-egress-proxy."`
	HTTPProxy  clienttoken.Secret `env:"HTTP_PROXY" unset:"none" help:"Like HTTPS_PROXY, for plain http connections."`
	NoProxy    []string           `env:"NO_PROXY" unset:"none" help:"Comma-separated destinations without a proxy: host names (with their subdomains), addresses, CIDRs, or * for all. For all three, the lower-case name works, too."`
	CertFile   string             `env:"SSL_CERT_FILE" unset:"of the system" help:"File with certificates of authorities in PEM, for all outgoing connections. Read once, at the start. See docs/deployment.md#a-private-ca."`
	CertDir    string             `env:"SSL_CERT_DIR" unset:"of the system" help:"Like SSL_CERT_FILE, but colon-separated folders with such files."`

	AllowPlaintext []string `heading:"Operation" env:"ALLOW_PLAINTEXT" unset:"none" help:"For production, where a service mesh encrypts: comma-separated postgres and redis. Their connections to other machines then need no verified TLS. See docs/deployment.md#encryption."`

	LogLevel        string        `env:"LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error. Audit lines are always written."`
	LogFormat       string        `env:"LOG_FORMAT" envDefault:"json" help:"json, or console for human readers."`
	AuditLog        string        `env:"AUDIT_LOG" envDefault:"stdout" help:"Where the audit trail goes: stdout, mixed with the log, or the name of a file. SIGHUP reopens the file after a rotation. See docs/deployment.md."`
	ShutdownDelay   time.Duration `env:"SHUTDOWN_DELAY" envDefault:"5s" help:"How long the service still takes requests after SIGTERM, while readiness already fails: 0s to 5m."`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"20s" help:"How long requests under way may take after that, 1s to 5m."`

	TraceExporter    string             `heading:"Tracing" env:"OTEL_TRACES_EXPORTER" unset:"otlp with an endpoint, none without" help:"otlp or none. See docs/tracing.md."`
	TraceEndpoint    string             `env:"OTEL_EXPORTER_OTLP_ENDPOINT" unset:"none" help:"URL of an OpenTelemetry collector, such as http://otel-collector:4318. /v1/traces is added."`
	TracesEndpoint   string             `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" unset:"none" help:"Like OTEL_EXPORTER_OTLP_ENDPOINT, but used as it is. It wins."`
	TraceProtocol    string             `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf" help:"Only http/protobuf: not grpc, not http/json."`
	TraceHeaders     clienttoken.Secret `env:"OTEL_EXPORTER_OTLP_HEADERS" unset:"none" help:"Headers for the collector, such as api-key=SECRET: comma-separated, with values percent-encoded. In production they need https, or a collector on this machine."`
	TraceSampler     string             `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on" help:"always_on, always_off, traceidratio, or parentbased_ with one of these, which follows the decision of a trusted proxy."`
	TraceSamplerArg  string             `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"1" help:"For traceidratio: the part of traces to record, 0 to 1."`
	TraceServiceName string             `env:"OTEL_SERVICE_NAME" envDefault:"dropgate" help:"The attribute service.name of all spans."`
	TraceResource    string             `env:"OTEL_RESOURCE_ATTRIBUTES" unset:"none" help:"More attributes of all spans, such as deployment.environment.name=prod,k8s.pod.name=dropgate-0: comma-separated, with values percent-encoded."`

	// Policy replaces ALLOWED_ACTIONS if it is not nil. No setting fills it: it is
	// for programs that embed the service, such as the sandbox.
	Policy clienttoken.Policy

	given map[string]clienttoken.Secret // the value of every variable, also from files
	files map[string]string             // the file of each secret setting that has one

	// Load parses these from the fields above.
	api        clienttoken.API
	policy     clienttoken.Policy
	proxies    []netip.Prefix
	sameSite   http.SameSite
	enrollment customer.EnrollmentKeys
	sealing    keyring.Ring // seals sessions and sign-ins
	clientKeys []*auth.ClientKey
	oidcParams url.Values
	redis      *redisServers // nil without REDIS_URL
	operators  handler.Operators
	proxyFor   func(*url.URL) (*url.URL, error)
	tracing    traceConfig
}

// reserved are the names of future settings. Setting one is a fault, so that no
// operator relies on a missing limit.
func reserved() []string {
	return []string{
		"POLICY_FILE",
	}
}

// Load reads the configuration from environment variables ("NAME=value", as
// os.Environ returns them). It ignores white space and a byte order mark around a
// value. An empty variable counts as unset. A secret X may come from the file that
// X_FILE names. The error is a *ConfigError with all faults at once.
func Load(environ []string) (Config, error) {
	c, f := read(environ)
	f.parse(&c)
	f.check(c, append(rules(), fileRules()...)...)
	return c.unless(f)
}

// loadDirectory reads the settings of `server customers`: the database and the
// Dwolla environment.
func loadDirectory(environ []string) (Config, error) {
	c, f := read(environ)
	f.parseAPI(&c)
	f.check(c, checker.plaintext, checker.databaseURL, checker.databaseUse, checker.authorities)
	if c.CustomerSource != "database" {
		f.add("CUSTOMER_SOURCE", "is not database: another system keeps the links")
	}
	return c.unless(f)
}

// loadMigrate reads the settings of `server migrate`: those of the database, and those
// that say whether the service has one.
func loadMigrate(environ []string) (Config, error) {
	c, f := read(environ)
	f.parseAPI(&c)
	f.check(c, checker.plaintext, checker.databaseURL, checker.databaseUse, checker.authorities)
	return c.unless(f)
}

// keepsData reports whether the service has a database of its own.
func (c Config) keepsData() bool { return c.CustomerSource == "database" || !c.WebhookSecret.IsZero() }

// userIDs says how the application's user ids are compared.
func (c Config) userIDs() clienttoken.UserIDs {
	return clienttoken.UserIDs{Emails: auth.NamesEmail(c.UserClaim)}
}

// actionRules returns the rules about actions.
func (c Config) actionRules() clienttoken.Policy {
	if c.Policy != nil {
		return c.Policy
	}
	return c.policy
}

// unless returns the configuration, or a *ConfigError if it has faults.
func (c Config) unless(f faults) (Config, error) {
	if len(f) > 0 {
		return Config{}, &ConfigError{Faults: f.sorted()}
	}
	return c, nil
}

// read fills the fields of a Config from environment variables.
func read(environ []string) (Config, faults) {
	vars := env.ToMap(environ)
	var c Config
	f := faults{}
	lowerCaseNames(vars)
	f.exact(vars)
	f.cleanValues(vars)
	f.readSecretFiles(vars)
	f.fill(&c, vars)
	c.given, c.files = hidden(vars), secretFiles(vars)
	for _, name := range reserved() {
		if vars[name] != "" {
			f.add(name, "this version does not have this setting yet; unset it")
		}
	}
	return c, f
}

// fill fills c from vars.
func (f faults) fill(c *Config, vars map[string]string) {
	err := env.ParseWithOptions(c, env.Options{Environment: vars})
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		for _, err := range all.Errors {
			name := "configuration"
			if wrong, ok := errors.AsType[env.ParseError](err); ok {
				if field, found := reflect.TypeFor[Config]().FieldByName(wrong.Name); found {
					name = field.Tag.Get("env")
				}
				err = wrong.Err
			}
			f.add(name, err.Error())
		}
	}
	for _, list := range []*[]string{&c.AllowedActions, &c.AllowedOrigins, &c.TrustedProxies, &c.AuthModes, &c.BearerClientIDs, &c.BearerRequired, &c.OIDCPassed, &c.ForwardCookies, &c.AllowPlaintext, &c.AdminHosts, &c.NoProxy} {
		for i := range *list {
			(*list)[i] = strings.TrimSpace((*list)[i])
		}
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == "" })
	}
}
