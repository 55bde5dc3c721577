package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// options are the command line.
type options struct {
	emulatorAddr, providerAddr, httpAddr, adminAddr string
	providerIssuer                                  string
	alice, bob                                      string
	dwollaWeb                                       string
	only                                            string
	backends                                        bool
	parts                                                    // run alone, for a service elsewhere
	settings                                        []string // of the service
}

// parts are the flags of a part alone. It knows the others by their
// addresses inside the network, and by the addresses for browsers.
type parts struct {
	healthcheck         string // the parts to ask
	public              string // URL of the page for browsers
	service, admin      string // URLs of the service inside the network
	adminToken          string
	providerForBrowsers string // URL
	providerKey         string // file
	apiForBrowsers      string // URL of Dwolla's API
	state               string // file of the emulator
	links               string // root of the emulator's links
	webhooks            string // URL
	webhookSecret       string
}

// The values of -only.
const (
	onlyEmulator = "emulator"
	onlyProvider = "provider"
	onlyPage     = "page"
)

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.StringVar(&o.emulatorAddr, "emulator-addr", "127.0.0.1:17188", "address of the Dwolla emulator")
	flags.StringVar(&o.providerAddr, "provider-addr", "127.0.0.1:17189", "address of the demo identity provider")
	flags.StringVar(&o.providerIssuer, "provider-issuer", "", "issuer URL of the provider (default: from -provider-addr)")
	flags.StringVar(&o.httpAddr, "http-addr", "127.0.0.1:8080", "address of the demo page, with dropgate under /dropgate")
	flags.StringVar(&o.adminAddr, "admin-addr", "127.0.0.1:9090", "address of dropgate's probes and metrics")
	flags.StringVar(&o.alice, "alice", demoAlice, "id of alice's Customer; with Dwolla's sandbox, one of yours")
	flags.StringVar(&o.bob, "bob", demoBob, "id of bob's Customer; with Dwolla's sandbox, another one of yours")
	flags.StringVar(&o.dwollaWeb, "dwolla-web", "", "URL of Dwolla's own dwolla-web.js (default: the stand-in of the sandbox)")
	flags.StringVar(&o.only, "only", "", "run only this part: emulator, provider or page")
	flags.BoolVar(&o.backends, "backends", false, "run only the emulator and the identity provider, for a server elsewhere")
	flags.Func("env", "a further setting of dropgate, `NAME=VALUE`; may be given several times", func(setting string) error {
		if !strings.Contains(setting, "=") {
			return errors.New("is not NAME=VALUE")
		}
		if strings.HasPrefix(setting, "SSL_CERT_") {
			return errors.New("is read by Go itself: set it in the environment of the sandbox")
		}
		o.settings = append(o.settings, setting)
		return nil
	})
	o.register(flags)
	if err := flags.Parse(args); err != nil {
		return o, err //nolint:wrapcheck // names the flag and the fault
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, o.check()
}

func (o options) check() error {
	if !slices.Contains([]string{"", onlyEmulator, onlyProvider, onlyPage}, o.only) {
		return fmt.Errorf("-only %q: the parts that run alone are emulator, provider and page", o.only)
	}
	if o.only != "" && o.backends {
		return errors.New("-only and -backends exclude each other")
	}
	if err := o.parts.check(); err != nil {
		return err
	}
	if o.only == onlyPage && (o.service == "" || o.admin == "") {
		return errors.New("-only page needs -service and -service-admin, the URLs of the service")
	}
	if o.dwollaWeb == "" {
		return nil
	}
	at, err := url.Parse(o.dwollaWeb)
	if err != nil || at.Host == "" || at.User != nil || at.Scheme != "https" && at.Scheme != "http" {
		return fmt.Errorf("-dwolla-web %q: not a URL such as https://cdn.dwolla.com/v3.0.0/dwolla-web.js", o.dwollaWeb)
	}
	return nil
}

func (p *parts) register(flags *flag.FlagSet) {
	flags.StringVar(&p.healthcheck, "healthcheck", "", "ask these running parts for their health, and exit: a comma-separated list of emulator, provider and page")
	flags.StringVar(&p.public, "public-url", "", "URL of the demo page for browsers (default: from -http-addr)")
	flags.StringVar(&p.service, "service", "", "with -only provider and page: URL of a dropgate elsewhere (provider: default from -public-url)")
	flags.StringVar(&p.admin, "service-admin", "", "with -only page: URL of its admin listener")
	flags.StringVar(&p.adminToken, "service-admin-token", "", "with -only page: token of its directory API")
	flags.StringVar(&p.providerForBrowsers, "provider-browser-url", "", "URL of the provider for browsers (default: the issuer)")
	flags.StringVar(&p.providerKey, "provider-key", "", "file that keeps the provider's key; made if it is missing (default: a new key for each run)")
	flags.StringVar(&p.apiForBrowsers, "api-root", sandboxAPI, "with -only page: root of Dwolla's API for browsers")
	flags.StringVar(&p.state, "emulator-state", "", "file that keeps the emulator's Customers; made if it is missing (default: memory)")
	flags.StringVar(&p.links, "emulator-links", "", "root of the links in the emulator's answers (default: the address of the request)")
	flags.StringVar(&p.webhooks, "webhooks", "", "with -only emulator and -backends: URL that gets the emulator's webhooks")
	flags.StringVar(&p.webhookSecret, "webhook-secret", "", "secret that signs them")
}

// check wants every URL absolute: a typing error must not become a request to nowhere.
func (p *parts) check() error {
	for name, value := range map[string]*string{
		"-public-url": &p.public, "-service": &p.service, "-service-admin": &p.admin, "-provider-browser-url": &p.providerForBrowsers,
		"-api-root": &p.apiForBrowsers, "-emulator-links": &p.links, "-webhooks": &p.webhooks,
	} {
		*value = strings.TrimSuffix(*value, "/")
		at, err := url.Parse(*value)
		if *value != "" && (err != nil || at.Host == "" || at.User != nil || at.Scheme != "http" && at.Scheme != "https") {
			return fmt.Errorf("%s %q: not a URL such as http://127.0.0.1:8080", name, *value)
		}
	}
	if p.webhooks != "" && p.webhookSecret == "" {
		return errors.New("-webhooks needs -webhook-secret")
	}
	return nil
}

// publicURL is the URL of a listener for a browser on this machine.
func publicURL(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip, parseErr := netip.ParseAddr(host); err == nil && (host == "" || parseErr == nil && ip.IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + addr
}
