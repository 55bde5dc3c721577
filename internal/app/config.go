package app

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/handler"
	"dropgate/internal/keyring"
	"dropgate/internal/ratelimit"
)

// Config is the configuration of the service. Make one with [Load]: then every
// rule about it has been checked. The tags are the documentation that
// `server -help` prints.
type Config struct {
	Environment  clienttoken.Environment `env:"DWOLLA_ENVIRONMENT" help:"required: sandbox or production"`
	ClientID     string                  `env:"DWOLLA_CLIENT_ID" help:"required: the application's key"`
	ClientSecret clienttoken.Secret      `env:"DWOLLA_CLIENT_SECRET" help:"required: the application's secret"`
	BaseURL      string                  `env:"DWOLLA_BASE_URL" help:"another root of the Dwolla API, such as an emulator's; https in production (default: by environment)"`
	Timeout      time.Duration           `env:"DWOLLA_TIMEOUT" envDefault:"5s" help:"for one attempt of a call to Dwolla: 100ms to 10s"`
	MaxCalls     int                     `env:"DWOLLA_MAX_CONCURRENT" envDefault:"256" help:"how many requests to Dwolla may be under way; three times as many wait for at most 1s: 1 to 10000"`

	AllowedActions []string `env:"ALLOWED_ACTIONS" help:"required: comma-separated actions (customer.read) and components (dwolla-document-upload, for all of its actions)"`

	HTTPAddr       string   `env:"HTTP_ADDR" envDefault:":8080" help:"where the public listener listens"`
	AdminAddr      string   `env:"ADMIN_ADDR" envDefault:":9090" help:"where probes and metrics are answered; never expose it"`
	AdminHosts     []string `env:"ADMIN_HOSTS" help:"comma-separated host names of the admin listener, without ports, beside localhost and every address of this machine (default: none)"`
	TLSCert        string   `env:"TLS_CERT_FILE" help:"a certificate chain in PEM: the public listener speaks TLS (default: plain HTTP)"`
	TLSKey         string   `env:"TLS_KEY_FILE" help:"required with TLS_CERT_FILE: its key in PEM. Renewed files are picked up"`
	AdminTLSCert   string   `env:"ADMIN_TLS_CERT_FILE" help:"likewise for the admin listener"`
	AdminTLSKey    string   `env:"ADMIN_TLS_KEY_FILE" help:"likewise"`
	PublicURL      string   `env:"PUBLIC_URL" help:"required for oidc: the origin at which browsers reach the service, such as https://app.example.com; https unless it is this machine"`
	BasePath       string   `env:"BASE_PATH" envDefault:"/" help:"put before every public route"`
	AllowedOrigins []string `env:"ALLOWED_ORIGINS" help:"comma-separated exact origins of other sites whose pages may use the service with credentials (default: none)"`
	TrustedProxies []string `env:"TRUSTED_PROXIES" help:"comma-separated CIDRs or addresses of peers whose X-Forwarded-For and X-Request-Id count (default: none)"`

	AuthModes       []string           `env:"AUTH_MODES" help:"required: comma-separated, in the order in which they are asked; bearer, oidc, forward (the last one), proxy (the first one)"`
	BearerIssuer    string             `env:"AUTH_BEARER_ISSUER" help:"required for bearer: the iss of good tokens"`
	BearerAudience  string             `env:"AUTH_BEARER_AUDIENCE" help:"required for bearer: among the aud of good tokens"`
	BearerJWKSURL   string             `env:"AUTH_BEARER_JWKS_URL" help:"where the issuer publishes its keys (default: OpenID discovery)"`
	BearerCookie    string             `env:"AUTH_BEARER_COOKIE" help:"a cookie that may hold the token too (default: none)"`
	BearerTokenType string             `env:"AUTH_BEARER_TOKEN_TYPE" help:"at+jwt demands access tokens by RFC 9068, so that ID tokens are refused (default: JWT and no typ are good too)"`
	BearerClientIDs []string           `env:"AUTH_BEARER_CLIENT_IDS" help:"comma-separated OAuth clients; the azp and client_id of a token must be among them (default: any client, but no token with several audiences)"`
	OIDCIssuer      string             `env:"AUTH_OIDC_ISSUER" help:"required for oidc: the OpenID provider; with bearer too, that of AUTH_BEARER_ISSUER"`
	OIDCClientID    string             `env:"AUTH_OIDC_CLIENT_ID" help:"required for oidc: the client that the provider knows the service as"`
	OIDCSecret      clienttoken.Secret `env:"AUTH_OIDC_CLIENT_SECRET" help:"required for oidc: the client's secret, at least 16 characters"`
	OIDCScopes      string             `env:"AUTH_OIDC_SCOPES" envDefault:"openid profile email" help:"what is asked of the provider"`
	ForwardURL      string             `env:"AUTH_FORWARD_URL" help:"required for forward: asked, with a request's Cookie and Authorization, who the user is"`
	ForwardCache    time.Duration      `env:"AUTH_FORWARD_CACHE" envDefault:"10s" help:"how long the answer is believed: 0s to 5m"`
	ProxyHeader     string             `env:"AUTH_PROXY_HEADER" envDefault:"X-Forwarded-User" help:"for proxy: holds the user's id"`
	ProxySecret     clienttoken.Secret `env:"AUTH_PROXY_SECRET" help:"required for proxy: what the proxy sends in X-Proxy-Secret, at least 16 characters"`
	UserClaim       string             `env:"AUTH_USER_CLAIM" envDefault:"sub" help:"the claim that names the user, for bearer, oidc and forward; with email, all user ids are compared without regard to capitals"`

	SessionStore    string             `env:"SESSION_STORE" envDefault:"memory" help:"where the sessions of oidc are: memory, for one replica, or redis"`
	SessionKeys     clienttoken.Secret `env:"SESSION_KEYS" help:"comma-separated base64 keys of 32 bytes or more, 8 at most, for oidc: the first one seals sessions and sign-ins, all open them (default: derived from AUTH_OIDC_CLIENT_SECRET)"`
	RedisURL        clienttoken.Secret `env:"REDIS_URL" help:"required for the sessions in redis, and shares the rate limits among replicas: rediss://user:password@host:6379/0, or redis:// without TLS"`
	SessionIdle     time.Duration      `env:"SESSION_IDLE_TIMEOUT" envDefault:"15m" help:"how long a session lasts without being used: 1m to 24h"`
	SessionLifetime time.Duration      `env:"SESSION_LIFETIME" envDefault:"8h" help:"how long a session lasts at most: 5m to 720h"`
	SessionSameSite string             `env:"SESSION_SAMESITE" envDefault:"strict" help:"of the session's cookie: strict, lax, or none for an application on another site"`

	CustomerSource string             `env:"CUSTOMER_SOURCE" envDefault:"database" help:"who says which Customer is a user's: claim (of the sign-in), database (the service's own), lookup (the application, over HTTP) or query (the application's PostgreSQL)"`
	CustomerClaim  string             `env:"CUSTOMER_CLAIM" envDefault:"dwolla_customer" help:"for claim: holds a Customer's id or URL"`
	DatabaseURL    clienttoken.Secret `env:"DATABASE_URL" envDefault:"sqlite:dropgate.db" help:"for database, and for webhooks: sqlite:FILE, made on first start, for one replica; or postgres://user:password@host:5432/name. For query: the application's own postgres://…"`
	LookupURL      string             `env:"CUSTOMER_LOOKUP_URL" help:"required for lookup: such as https://app.internal/users/{user}/dwolla-customer; https in production"`
	LookupToken    clienttoken.Secret `env:"CUSTOMER_LOOKUP_TOKEN" help:"for lookup: sent to the application as a bearer token, at least 16 characters"`
	CustomerQuery  string             `env:"CUSTOMER_QUERY" lines:"yes" help:"required for query: one SELECT of two columns by the user's id as $1: the user's id as the row has it, and a Customer's id or URL"`
	CustomerCache  time.Duration      `env:"CUSTOMER_CACHE" envDefault:"10s" help:"how long a user's Customer and its status are believed: 0s to 5m"`
	StatusInterval time.Duration      `env:"CUSTOMER_STATUS_INTERVAL" envDefault:"0s" help:"how often a Customer's status is read from Dwolla, for services without webhooks: 10s to 24h, or 0s for never"`
	EnrollmentKeys clienttoken.Secret `env:"ENROLLMENT_KEYS" help:"comma-separated base64 keys of 32 bytes or more, the first one signs: lets users of database create their Customers themselves (default: none)"`
	WebhookSecret  clienttoken.Secret `env:"DWOLLA_WEBHOOK_SECRET" help:"of the webhook subscription at Dwolla, at least 16 characters: takes in webhooks (default: none)"`
	AdminToken     clienttoken.Secret `env:"ADMIN_TOKEN" help:"opens the directory on the admin listener, for database: a token of at least 32 characters, or comma-separated NAME:ro:TOKEN (reads) and NAME:rw:TOKEN (changes, too), at most 16 (default: none)"`

	RateLimitUser ratelimit.Limit `env:"RATE_LIMIT_USER" envDefault:"60/1m" help:"how often one user may ask: N per time, N at once and then evenly; N from 25 to 1000000, the time from 1s to 24h; or off"`
	RateLimitIP   ratelimit.Limit `env:"RATE_LIMIT_IP" envDefault:"300/1m" help:"how often one address may ask, of IPv6 one /64, signed in or not; likewise"`
	RateLimitNew  ratelimit.Rare  `env:"RATE_LIMIT_CREATE" envDefault:"2/1h" help:"how many tokens for customer.create one user gets, beside RATE_LIMIT_USER; N from 1, otherwise likewise"`

	AllowPlaintext []string `env:"ALLOW_PLAINTEXT" help:"for production, where a service mesh encrypts: comma-separated postgres and redis, whose connections to other machines then need no verified TLS (default: none)"`

	LogLevel        string        `env:"LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error; audit lines are always written"`
	LogFormat       string        `env:"LOG_FORMAT" envDefault:"json" help:"json, or console for people"`
	AuditLog        string        `env:"AUDIT_LOG" envDefault:"stdout" help:"where the audit trail goes: stdout, among the log, or a file of its own, which SIGHUP opens again after a rotation"`
	ShutdownDelay   time.Duration `env:"SHUTDOWN_DELAY" envDefault:"5s" help:"how long requests are still taken after SIGTERM, while readiness says no: 0s to 5m"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"20s" help:"how long requests under way may take after that: 1s to 5m"`

	api       clienttoken.API
	policy    clienttoken.Policy
	proxies   []netip.Prefix
	sameSite  http.SameSite
	keys      customer.EnrollmentKeys
	sealing   keyring.Ring // of sessions and sign-ins
	operators handler.Operators
}

// reserved are names of settings that later versions will have. Until then one
// that is set is a fault: whoever sets a limit must not believe that it holds.
func reserved() []string {
	return []string{
		"POLICY_FILE",
	}
}

// ConfigError lists everything that is wrong with a configuration.
type ConfigError struct {
	Faults []string // "NAME: what is wrong", in the order of the table
}

func (e *ConfigError) Error() string {
	return "the configuration has faults:\n  " + strings.Join(e.Faults, "\n  ")
}

// Load reads the configuration from environment variables ("NAME=value", as
// os.Environ gives them). An empty variable counts as one that is not set. White
// space and a byte order mark around a value are not a part of it. A
// secret X may be given as X_FILE, the name of a file that holds it. The error
// is a *ConfigError with all faults at once; no fault shows a secret.
func Load(environ []string) (Config, error) {
	c, f := read(environ)
	f.check(&c)
	return c.unless(f)
}

// loadDirectory reads the part of the configuration that `server customers`
// needs: where the links are, and which Customers they are about.
func loadDirectory(environ []string) (Config, error) {
	c, f := read(environ)
	f.checkAPI(&c)
	if c.CustomerSource != "database" {
		f.add("CUSTOMER_SOURCE", "is not database: the links are somebody else's")
	}
	f.checkPlaintext(&c)
	f.checkDatabase(&c)
	return c.unless(f)
}

// userIDs is how the application's user ids are compared.
func (c *Config) userIDs() clienttoken.UserIDs { return clienttoken.UserIDsOf(c.UserClaim) }

// unless returns the configuration, or a *ConfigError when it has faults.
func (c Config) unless(f faults) (Config, error) {
	if len(f) > 0 {
		return Config{}, &ConfigError{Faults: f.sorted()}
	}
	return c, nil
}

// read fills a Config, and checks nothing but that the values can be read.
func read(environ []string) (Config, faults) {
	vars := env.ToMap(environ)
	var c Config
	f := faults{}
	f.readValues(vars)
	f.readSecretFiles(vars)
	f.parse(&c, vars)
	for _, name := range reserved() {
		if vars[name] != "" {
			f.add(name, "this version does not have this setting yet; unset it")
		}
	}
	return c, f
}

// maxSecret bounds a secret's file in bytes.
const maxSecret = 64 << 10

// readSecretFiles replaces X_FILE by X in vars, for every secret X.
func (f faults) readSecretFiles(vars map[string]string) {
	for field := range settings() {
		name := field.Tag.Get("env")
		file := vars[name+"_FILE"]
		if field.Type != reflect.TypeFor[clienttoken.Secret]() || file == "" {
			continue
		}
		if vars[name] != "" {
			f.add(name, "is given twice: as "+name+" and as "+name+"_FILE")
			continue
		}
		content, err := readAtMost(file, maxSecret+1)
		value := clean(string(content))
		wrong := checkText(value)
		switch {
		case err != nil:
			f.add(name+"_FILE", err.Error())
		case len(content) > maxSecret:
			f.add(name+"_FILE", fmt.Sprintf("%s is larger than %d bytes", file, maxSecret))
		case value == "":
			f.add(name+"_FILE", file+" is empty")
		case wrong != nil:
			f.add(name+"_FILE", file+" "+wrong.Error())
		default:
			vars[name] = value
		}
	}
}

// readAtMost reads the first n bytes of a file. A pipe without a writer is empty:
// it does not hold up the start.
func readAtMost(file string, n int64) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err //nolint:wrapcheck // an *fs.PathError says all
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, n)) //nolint:wrapcheck // likewise
}

// parse fills c from vars.
func (f faults) parse(c *Config, vars map[string]string) {
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
	for _, list := range []*[]string{&c.AllowedActions, &c.AllowedOrigins, &c.TrustedProxies, &c.AuthModes, &c.BearerClientIDs, &c.AllowPlaintext, &c.AdminHosts} {
		for i := range *list {
			(*list)[i] = strings.TrimSpace((*list)[i])
		}
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == "" })
	}
}

// settings iterates over the fields of Config that come from the environment.
func settings() func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for field := range reflect.TypeFor[Config]().Fields() {
			if field.Tag.Get("env") != "" && !yield(field) {
				return
			}
		}
	}
}

// Usage is the table of all settings, as `server -help` prints it.
func Usage() string {
	var b strings.Builder
	b.WriteString("Configuration comes from environment variables. An empty one counts as not set, and\nwhite space around a value is not a part of it.\n\n")
	for field := range settings() {
		name, help := field.Tag.Get("env"), field.Tag.Get("help")
		if standard := field.Tag.Get("envDefault"); standard != "" {
			help += " (default: " + standard + ")"
		}
		if field.Type == reflect.TypeFor[clienttoken.Secret]() {
			help += "; or " + name + "_FILE, the name of a file that holds it"
		}
		fmt.Fprintf(&b, "  %s\n        %s\n", name, help)
	}
	return b.String()
}
