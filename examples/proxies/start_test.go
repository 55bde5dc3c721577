//go:build proxies

package proxies_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// setting is what a test puts in place of the addresses and files in a
// configuration.
type setting struct {
	addr, dropgate, application string
	certificate, key            []byte
}

// proxy is one of the programs, with its configuration in this folder.
type proxy struct {
	file string
	// replace has old and new strings; each old one must be in the configuration.
	replace func(t *testing.T, folder string, s setting) []string
	// wrap completes a configuration that is a part of a larger one.
	wrap func(folder, config string, s setting) string
	// command starts the program in the foreground.
	command func(folder, config string) []string
}

func proxies() map[string]proxy {
	return map[string]proxy{"nginx": nginx(), "Caddy": caddy(), "HAProxy": haproxy()}
}

func nginx() proxy {
	return proxy{
		file: "nginx.conf",
		replace: func(t *testing.T, folder string, s setting) []string {
			t.Helper()
			return []string{
				"listen 443 ", "listen " + s.addr + " ",
				"/etc/ssl/app.example.com.pem", writeFile(t, folder, "site.pem", s.certificate),
				"/etc/ssl/private/app.example.com.key", writeFile(t, folder, "site.key", s.key),
			}
		},
		wrap: func(folder, config string, _ setting) string {
			var paths strings.Builder
			for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				paths.WriteString(kind + "_temp_path " + folder + "/" + kind + ";\n")
			}
			return "daemon off;\nworker_processes 1;\npid " + folder + "/pid;\nerror_log stderr;\nevents {}\nhttp {\n" +
				"access_log off;\n" + paths.String() + config + "}\n"
		},
		command: func(folder, config string) []string {
			return []string{"nginx", "-e", "stderr", "-p", folder, "-c", config}
		},
	}
}

func caddy() proxy {
	return proxy{
		file: "Caddyfile",
		replace: func(t *testing.T, folder string, s setting) []string {
			t.Helper()
			certificate, key := writeFile(t, folder, "site.pem", s.certificate), writeFile(t, folder, "site.key", s.key)
			return []string{"app.example.com {\n", "app.example.com {\n\ttls " + certificate + " " + key + "\n"}
		},
		wrap: func(folder, config string, s setting) string {
			address, port, _ := net.SplitHostPort(s.addr)
			return "{\nadmin off\nauto_https disable_redirects\nstorage file_system " + folder + "\n" +
				"default_bind " + address + "\nhttps_port " + port + "\n}\n" + config
		},
		command: func(_, config string) []string {
			return []string{"caddy", "run", "--adapter", "caddyfile", "--config", config}
		},
	}
}

func haproxy() proxy {
	return proxy{
		file: "haproxy.cfg",
		replace: func(t *testing.T, folder string, s setting) []string {
			t.Helper()
			return []string{
				"bind :443 ", "bind " + s.addr + " ",
				"/etc/haproxy/app.example.com.pem", writeFile(t, folder, "site.pem", append(s.certificate, s.key...)),
			}
		},
		wrap:    func(_, config string, _ setting) string { return config },
		command: func(_, config string) []string { return []string{"haproxy", "-db", "-f", config} },
	}
}

// start runs the program until the test ends.
func (p proxy) start(t *testing.T, s setting) {
	t.Helper()
	text, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	folder, config := t.TempDir(), string(text)
	replace := append(p.replace(t, folder, s), "10.42.7.20:8080", s.dropgate, "10.42.7.10:3000", s.application)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(config, replace[i]) {
			t.Fatalf("%s does not contain %q", p.file, replace[i])
		}
		config = strings.ReplaceAll(config, replace[i], replace[i+1])
	}
	command := p.command(folder, writeFile(t, folder, p.file, []byte(p.wrap(folder, config, s))))
	run := exec.CommandContext(t.Context(), program(t, command[0]), command[1:]...)
	run.Env = append(os.Environ(), "HOME="+folder)
	run.Cancel = func() error { return run.Process.Signal(syscall.SIGTERM) }
	run.Stdout, run.Stderr = t.Output(), t.Output()
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Cancel()
		_ = run.Wait()
	})
}

// program finds a program, also in Debian's folders for root.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, candidate := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed", name)
	return ""
}
