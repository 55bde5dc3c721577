package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
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
	settings                                        []string // of the service
}

// onlyEmulator is the one value of -only.
const onlyEmulator = "emulator"

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
	flags.StringVar(&o.only, "only", "", "run only this part: emulator")
	flags.BoolVar(&o.backends, "backends", false, "run only the emulator and the identity provider, for a server elsewhere")
	flags.Func("env", "a further setting of dropgate, `NAME=VALUE`; may be given several times", func(setting string) error {
		if !strings.Contains(setting, "=") {
			return errors.New("is not NAME=VALUE")
		}
		o.settings = append(o.settings, setting)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err //nolint:wrapcheck // names the flag and the fault
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, o.check()
}

func (o options) check() error {
	if o.only != "" && o.only != onlyEmulator {
		return fmt.Errorf("-only %q: the only part that runs alone is emulator", o.only)
	}
	if o.only != "" && o.backends {
		return errors.New("-only and -backends exclude each other")
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

// publicURL is the URL of a listener for a browser on this machine.
func publicURL(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip, parseErr := netip.ParseAddr(host); err == nil && (host == "" || parseErr == nil && ip.IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + addr
}
