package deploy_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

func TestChartLintsWithoutWarnings(t *testing.T) {
	sets := valueSets(t)
	sets["the defaults"] = values{}
	for name, v := range sets {
		for _, message := range lint.All(chartFolder, v, "dropgate", true).Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// freeValues are the sections with names of the user's own choice.
func freeValues() []string {
	return []string{"resources.requests", "resources.limits", "grafanaDashboard.labels"}
}

func TestChartRefusesAnUnknownValue(t *testing.T) {
	c := loadChart(t)
	sections := sectionsOf("", c.Values)
	if len(sections) < 30 {
		t.Errorf("only %d sections: %q", len(sections), sections)
	}
	for _, section := range sections {
		path := strings.FieldsFunc(section, func(r rune) bool { return r == '.' })
		v := valueSets(t)["minimal"]
		put(v, path, "noSuchValue")
		place := ""
		for _, part := range path {
			place += "/" + part
		}
		want := "at '" + place + "': additional properties 'noSuchValue' not allowed"
		if _, err := renderFiles(c, v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s.noSuchValue: %v, want %q", section, err, want)
		}
	}
}

// put adds a value at a path.
func put(v values, path []string, name string) {
	for _, part := range path {
		next, ok := v[part].(values)
		if !ok {
			next = values{}
		}
		v[part], v = next, next
	}
	v[name] = "x"
}

// sectionsOf returns the paths of all sections with fixed names. An empty section has
// names of the user's own choice.
func sectionsOf(path string, v values) []string {
	sections := []string{path}
	for name, value := range v {
		section, ok := value.(values)
		below := strings.TrimPrefix(path+"."+name, ".")
		if ok && len(section) > 0 && !slices.Contains(freeValues(), below) {
			sections = append(sections, sectionsOf(below, section)...)
		}
	}
	return slices.Sorted(slices.Values(sections))
}

// The message lists all that is missing. Nothing is created before that.
func TestChartNamesEverythingMissingAtOnce(t *testing.T) {
	_, err := renderFiles(loadChart(t), values{})
	if err == nil {
		t.Fatal("the chart renders without any value")
	}
	for _, want := range []string{
		"image.repository is missing", "image.tag or image.digest is missing", "config.DWOLLA_CLIENT_ID is missing",
		"config.ALLOWED_ACTIONS is missing", "config.AUTH_BEARER_ISSUER is missing: AUTH_MODES has bearer",
		"config.AUTH_BEARER_AUDIENCE is missing: AUTH_MODES has bearer", "Nothing was created.",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q:\n%v", want, err)
		}
	}
}

// docs/configuration.md is generated from the server's own settings.
func TestChartDemandsWhatTheServerDemands(t *testing.T) {
	conditions := map[string]string{
		"required":             "",
		"required for bearer":  "config: {AUTH_MODES: bearer}",
		"required for oidc":    "config: {AUTH_MODES: oidc}",
		"required for forward": "config: {AUTH_MODES: forward}",
		"none; required for oidc without `AUTH_OIDC_CLIENT_KEYS`, unless `AUTH_OIDC_CLIENT_AUTH=none`": "config: {AUTH_MODES: oidc}",
		"required for proxy":                       "config: {AUTH_MODES: proxy}",
		"none; required for proxy":                 "config: {AUTH_MODES: proxy}",
		"none; required for `SESSION_STORE=redis`": "config: {AUTH_MODES: oidc, SESSION_STORE: redis}",
		"required for lookup":                      "config: {CUSTOMER_SOURCE: lookup}",
		"required for query":                       "config: {CUSTOMER_SOURCE: query}",
	}
	demanded := 0
	for _, setting := range settingRows(t) {
		condition, ok := conditions[setting.standard]
		if !ok {
			// The chart sets the keys of the listeners together with their certificates.
			if strings.Contains(setting.standard, "required") && !strings.HasPrefix(setting.standard, "required with ") {
				t.Errorf("%s: no check for %q", setting.name, setting.standard)
			}
			continue
		}
		demanded++
		v := changed(t, condition)
		section, want := "config", "config."+setting.name+" is missing"
		if setting.secret {
			section, want = "secret", "secret.keys."+setting.name+" is missing"
			v[section] = values{"keys": values{setting.name: nil}}
		} else {
			v[section].(values)[setting.name] = "" //nolint:errcheck,forcetypeassert // minimal has it
		}
		if _, err := renderFiles(loadChart(t), v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v, want %q", setting.name, err, want)
		}
	}
	if demanded < 15 {
		t.Errorf("only %d settings are required", demanded)
	}
}

func TestChartAcceptsEveryWayToSignIn(t *testing.T) {
	const (
		provider = "config: {AUTH_MODES: oidc, AUTH_OIDC_ISSUER: 'https://id.example.com', AUTH_OIDC_CLIENT_ID: web, PUBLIC_URL: 'https://app.example.com', SESSION_STORE: redis}"
		keys     = "secret: {keys: {SESSION_KEYS: session-keys, AUTH_OIDC_CLIENT_KEYS: client-keys, REDIS_URL: redis-url}}"
		sessions = "secret: {keys: {SESSION_KEYS: session-keys, REDIS_URL: redis-url}}"
	)
	for name, c := range map[string]struct {
		changes []string
		missing string
	}{
		"private_key_jwt":                  {[]string{provider, keys}, ""},
		"a public client":                  {[]string{provider, sessions, "config: {AUTH_OIDC_CLIENT_AUTH: none}"}, ""},
		"a public client, no keys":         {[]string{provider, "config: {AUTH_OIDC_CLIENT_AUTH: none}"}, "secret.keys.SESSION_KEYS is missing"},
		"no secret":                        {[]string{provider, sessions}, "secret.keys.AUTH_OIDC_CLIENT_SECRET is missing"},
		"bearer, clients":                  {[]string{"config: {AUTH_BEARER_AUDIENCE: '', AUTH_BEARER_CLIENT_IDS: web}"}, ""},
		"bearer, required claims":          {[]string{"config: {AUTH_BEARER_AUDIENCE: '', AUTH_BEARER_REQUIRED_CLAIMS: token_use=access}"}, ""},
		"bearer, without any of the three": {[]string{"config: {AUTH_BEARER_AUDIENCE: ''}"}, "config.AUTH_BEARER_AUDIENCE is missing"},
	} {
		_, err := renderFiles(loadChart(t), changed(t, c.changes...))
		if c.missing == "" && err != nil || c.missing != "" && (err == nil || !strings.Contains(err.Error(), c.missing)) {
			t.Errorf("%s: %v, want %q", name, err, c.missing)
		}
	}
}

func TestChartRefusesSecretsInTheClear(t *testing.T) {
	c, secrets := loadChart(t), 0
	for _, setting := range settingRows(t) {
		if !setting.secret {
			if holdsSecret(setting.name) {
				t.Errorf("%s counts as a secret in the chart, but not in the server", setting.name)
			}
			continue
		}
		secrets++
		value := "hunter2"
		if strings.HasSuffix(setting.name, "_PROXY") { // a secret only with a password
			value = "http://user:hunter2@proxy.internal:3128"
		}
		want := "its key into secret.keys." + setting.name
		refuses(t, c, "config: {"+setting.name+": '"+value+"'}", want)
		refuses(t, c, "extraEnv: [{name: "+setting.name+", value: '"+value+"'}]", want)
	}
	if secrets < 10 {
		t.Errorf("only %d settings are secrets", secrets)
	}
}

// refuses expects a message about the set minimal with changes. It never has the password.
func refuses(t *testing.T, c *chart.Chart, changes, want string) {
	t.Helper()
	_, err := renderFiles(c, changed(t, changes))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s:\n%v\nwant %q", changes, err, want)
	} else if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s: the message has the password: %v", changes, err)
	}
}

func TestChartExplainsBadValues(t *testing.T) {
	const oidc = "AUTH_MODES: oidc, AUTH_OIDC_ISSUER: https://id.example.com, AUTH_OIDC_CLIENT_ID: x, PUBLIC_URL: https://x.example.com"
	tests := map[string]string{
		// The schema.
		"config: {DWOLLA_CLIENT_IDS: x}":                     "additional properties 'DWOLLA_CLIENT_IDS' not allowed",
		"config: {AUTH_BEARER_AUDIENCE: 5}":                  "'/config/AUTH_BEARER_AUDIENCE': got number",
		"config: {DWOLLA_TIMEOUT: 5}":                        "'/config/DWOLLA_TIMEOUT': got number",
		"config: {SHUTDOWN_DELAY: 5 seconds}":                "'/config/SHUTDOWN_DELAY': '5 seconds' does not match pattern",
		"secret: {keys: {DWOLLA_CLIENT_ID: x}}":              "additional properties 'DWOLLA_CLIENT_ID' not allowed",
		"secret: {keys: {REDIS_URL: a/b}}":                   "'/secret/keys/REDIS_URL'",
		"replicaCount: two":                                  "'/replicaCount': got string, want integer",
		"image: {digest: latest}":                            "'/image/digest'",
		"image: {pullPolicy: Sometimes}":                     "'/image/pullPolicy': value must be one of 'IfNotPresent', 'Always', 'Never'",
		"service: {type: ExternalName}":                      "'/service/type'",
		"extraEnv: [{name: A, valu: b}]":                     "'/extraEnv/0': additional properties 'valu' not allowed",
		"tolerations: [{effects: NoSchedule}]":               "'/tolerations/0': additional properties 'effects' not allowed",
		"affinity: {podAntiAffinities: {}}":                  "'/affinity': additional properties 'podAntiAffinities' not allowed",
		"affinity: {nodeAffinity: {preferred: []}}":          "'/affinity/nodeAffinity': additional properties 'preferred' not allowed",
		"extraVolumes: [{name: a, emptyDir: {size: 1Gi}}]":   "'/extraVolumes/0/emptyDir': additional properties 'size' not allowed",
		"extraContainers: [{name: a, securityContexts: {}}]": "'/extraContainers/0': additional properties 'securityContexts' not allowed",
		"ingress: {from: [{}]}":                              "'/ingress/from/0'",
		"resources: {limits: {memory: 160 MB}}":              "'/resources/limits/memory'",
		"readinessProbe: {httpGet: {path: /}}":               "'/readinessProbe': additional properties 'httpGet' not allowed",
		"podSecurityContext: {runAsNonRoots: on}":            "'/podSecurityContext': additional properties 'runAsNonRoots' not allowed",
		// The checks of the templates.
		"terminationGracePeriodSeconds: 25":                                               "terminationGracePeriodSeconds is 25, but a drain takes up to 25 s",
		"config: {SHUTDOWN_DELAY: 3s}":                                                    "config.SHUTDOWN_DELAY is 3 s, but readinessProbe needs 4 s",
		"readinessProbe: {periodSeconds: 10}":                                             "readinessProbe needs 20 s to notice a drain",
		"goMemLimit: 1GiB":                                                                "goMemLimit is 1GiB, but resources.limits.memory is 160Mi",
		"config: {ADMIN_ADDR: '127.0.0.1:9090'}":                                          "config.ADMIN_ADDR is an address of the Pod itself",
		"config: {HTTP_ADDR: ':http'}":                                                    "config.HTTP_ADDR has no fixed port",
		"config: {" + oidc + "}":                                                          "config.SESSION_STORE must be redis",
		"config: {CUSTOMER_SOURCE: database}":                                             "secret.keys.DATABASE_URL is missing: CUSTOMER_SOURCE is database. For SQLite, set sqlite.enabled",
		"config: {CUSTOMER_SOURCE: ''}":                                                   "secret.keys.DATABASE_URL is missing: CUSTOMER_SOURCE is database",
		"secret: {keys: {DWOLLA_WEBHOOK_SECRET: w}}":                                      "secret.keys.DATABASE_URL is missing: webhooks wait in a database",
		"{sqlite: {enabled: true}, config: {CUSTOMER_SOURCE: database}}":                  "sqlite.enabled needs replicaCount: 1",
		"{sqlite: {enabled: true}, autoscaling: {enabled: true}}":                         "sqlite.enabled and autoscaling.enabled exclude each other",
		"{sqlite: {enabled: true}, replicaCount: 1}":                                      "sqlite.enabled has no use: set config.CUSTOMER_SOURCE to database",
		"{sqlite: {enabled: true}, secret: {keys: {DATABASE_URL: u}}}":                    "sqlite.enabled and secret.keys.DATABASE_URL exclude each other",
		"externalSecret: {enabled: true}":                                                 "externalSecret.secretStoreRef.name is missing",
		"externalSecret: {enabled: true, secretStoreRef: {name: v}}":                      "externalSecret.extract or externalSecret.remoteRefs is missing",
		"secret: {values: {other: x}}":                                                    "secret.values lacks dwolla-client-secret: secret.keys.DWOLLA_CLIENT_SECRET names this key",
		"{secret: {values: {dwolla-client-secret: x}}, externalSecret: {enabled: true}}":  "secret.values and externalSecret.enabled both create the Secret",
		"secret: {mount: false}":                                                          "secret.keys.DWOLLA_CLIENT_SECRET is missing",
		"{secret: {mount: false, values: {dwolla-client-secret: x}}}":                     "secret.values needs secret.mount: true",
		"caBundle: {configMap: a, secret: b}":                                             "caBundle.configMap and caBundle.secret exclude each other",
		"egressProxy: {url: 'http://user:hunter2@proxy:3128'}":                            "egressProxy.url has a password",
		"ingress: {enabled: true, from: [{podSelector: {}}]}":                             "ingress.hosts is missing",
		"ingress: {enabled: true, hosts: [a.example.com]}":                                "ingress.from is missing",
		"httpRoute: {enabled: true}":                                                      "httpRoute.parentRefs is missing",
		"{networkPolicy: {egress: {enabled: true}}, secret: {keys: {REDIS_URL: r}}}":      "networkPolicy.egress.redis is missing",
		"{egressProxy: {url: 'http://p:3128'}, config: {HTTP_PROXY: 'http://q:3128'}}":    "egressProxy.url and HTTP_PROXY exclude each other",
		"{egressProxy: {url: 'http://p:3128'}, networkPolicy: {egress: {enabled: true}}}": "networkPolicy.egress.extra is missing: egressProxy.url",
		"autoscaling: {enabled: true, minReplicas: 9}":                                    "autoscaling.maxReplicas is less than autoscaling.minReplicas",
		"autoscaling: {enabled: true, targetCPUUtilizationPercentage: 0}":                 "autoscaling has no metric",
		"{autoscaling: {enabled: true}, resources: {requests: {cpu: null}}}":              "resources.requests.cpu is missing",
	}
	c := loadChart(t)
	for _, changes := range slices.Sorted(maps.Keys(tests)) {
		refuses(t, c, changes, tests[changes])
	}
}

// These values do what the refused ones in TestChartExplainsBadValues want.
func TestChartAcceptsOtherSourcesOfSecrets(t *testing.T) {
	for name, changes := range map[string]string{
		"files of a vault's sidecar": "{secret: {mount: false}, config: {DWOLLA_CLIENT_SECRET_FILE: /vault/secrets/dwolla}}",
		"a variable from a Secret":   "{secret: {mount: false}, extraEnv: [{name: DWOLLA_CLIENT_SECRET, valueFrom: {secretKeyRef: {name: s, key: k}}}]}",
		"a whole Secret":             "{secret: {mount: false}, extraEnvFrom: [{secretRef: {name: s}}]}",
		"a proxy without a password": "config: {HTTPS_PROXY: 'http://proxy.internal:3128'}",
		"values":                     "secret: {values: {dwolla-client-secret: x}}",
	} {
		if _, err := renderFiles(loadChart(t), changed(t, changes)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The values in docs/helm.md are what a newcomer installs first.
func TestChartRendersTheExamplesOfItsGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/helm.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$").FindAllStringSubmatch(string(guide), -1)
	if len(blocks) < 3 {
		t.Fatalf("only %d examples", len(blocks))
	}
	for i, block := range blocks {
		v := parseValues(t, strings.ReplaceAll("\n"+block[2], "\n"+block[1], "\n"))
		if i > 0 { // only the first one is complete
			v = chartutil.MergeTables(v, valueSets(t)["minimal"])
		}
		if _, err := renderFiles(loadChart(t), v); err != nil {
			t.Errorf("%v\n%s", err, block[2])
		}
	}
}
