package deploy_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	podsecurityapi "k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
)

func TestChartPodsMeetTheRestrictedPodSecurityStandard(t *testing.T) {
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := podsecurityapi.LevelVersion{Level: podsecurityapi.LevelRestricted, Version: podsecurityapi.LatestVersion()}
	eachSet(t, func(t *testing.T, r rendering) {
		template := r.deployment.Spec.Template
		test, _ := testOf(t, r)
		results := evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec)
		results = append(results, evaluator.EvaluatePod(restricted, &test.ObjectMeta, &test.Spec)...)
		for _, result := range results {
			if !result.Allowed {
				t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	})
}

// testOf returns the objects of helm test.
func testOf(t *testing.T, r rendering) (*corev1.Pod, *networkingv1.NetworkPolicy) {
	t.Helper()
	var pod *corev1.Pod
	var policy *networkingv1.NetworkPolicy
	for _, document := range documentsOf(t, r.test) {
		object, err := decode([]byte(document))
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		switch object := object.(type) {
		case *corev1.Pod:
			pod = object
		case *networkingv1.NetworkPolicy:
			policy = object
		}
	}
	if pod == nil || policy == nil {
		t.Fatalf("a Pod or its policy is missing:\n%s", r.test)
	}
	return pod, policy
}

func TestChartTestPodHasNoNetwork(t *testing.T) {
	eachSet(t, func(t *testing.T, r rendering) {
		pod, policy := testOf(t, r)
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil {
			t.Fatal(err)
		}
		if !selector.Matches(labels.Set(pod.Labels)) || selector.Matches(labels.Set(r.deployment.Spec.Template.Labels)) {
			t.Errorf("the policy selects %v, want the test only", selector)
		}
		if len(policy.Spec.PolicyTypes) != 2 || len(policy.Spec.Ingress)+len(policy.Spec.Egress) > 0 {
			t.Errorf("%+v, want both directions closed", policy.Spec)
		}
	})
}

// A Pod of helm test must not get requests from browsers, nor count as a replica.
func TestChartTestPodRunsTheServersCheckOnly(t *testing.T) {
	eachSet(t, func(t *testing.T, r rendering) {
		pod, _ := testOf(t, r)
		if !slices.Equal(pod.Spec.Containers[0].Args, []string{"-check"}) || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
			t.Errorf("the test runs %q, restarts %s", pod.Spec.Containers[0].Args, pod.Spec.RestartPolicy)
		}
		if pod.Annotations["helm.sh/hook"] != "test" {
			t.Errorf("annotations %v", pod.Annotations)
		}
		selected := true
		for name, value := range r.service.Spec.Selector {
			selected = selected && pod.Labels[name] == value
		}
		if selected {
			t.Errorf("the Service selects the test: %v", pod.Labels)
		}
	})
}

func TestChartPortsFollowTheSettings(t *testing.T) {
	for changes, want := range map[string][2]int32{
		"{}": {8080, 9090},
		"config: {HTTP_ADDR: ':8443', ADMIN_ADDR: '0.0.0.0:9443'}": {8443, 9443},
		"extraEnv: [{name: ADMIN_ADDR, value: '[::]:9091'}]":       {8080, 9091},
	} {
		r := renderChart(t, changed(t, changes))
		if got := [2]int32{containerPortNamed(r.server, "http"), containerPortNamed(r.server, "admin")}; got != want {
			t.Errorf("%s: the ports are %v, want %v", changes, got, want)
		}
		if ports := r.service.Spec.Ports; len(ports) != 1 || ports[0].TargetPort.StrVal != "http" {
			t.Errorf("the Service leads to %v", ports)
		}
	}
}

func TestChartOpensNoPortToEverybody(t *testing.T) {
	eachSet(t, func(t *testing.T, r rendering) {
		admin := containerPortNamed(r.server, "admin")
		for name, policy := range r.networkPolicies {
			for _, rule := range policy.Spec.Ingress {
				checkClients(t, name, rule, admin)
			}
		}
	})
}

// checkClients: no rule is open to everybody, and only adminFrom reaches the admin port.
func checkClients(t *testing.T, policy string, rule networkingv1.NetworkPolicyIngressRule, admin int32) {
	t.Helper()
	if len(rule.From) == 0 || len(rule.Ports) != 1 {
		t.Fatalf("%s: %+v is open to everybody, or on several ports", policy, rule)
	}
	isAdmin := rule.Ports[0].Port.IntVal == admin
	if isMonitoring := rule.From[0].NamespaceSelector != nil &&
		rule.From[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] == "monitoring"; isAdmin != isMonitoring {
		t.Errorf("%s: the port %v is open to %+v", policy, rule.Ports[0].Port, rule.From)
	}
}

func TestChartDrainFitsTheGracePeriod(t *testing.T) {
	for changes, want := range map[string]int64{
		"{}": 30,
		"config: {SHUTDOWN_DELAY: 15s, SHUTDOWN_TIMEOUT: 1m}":       80,
		"config: {SHUTDOWN_DELAY: 1m0.5s, SHUTDOWN_TIMEOUT: 1m1ms}": 126,
		"config: {SHUTDOWN_DELAY: '', SHUTDOWN_TIMEOUT: ''}":        30,
		"terminationGracePeriodSeconds: 26":                         26,
		"extraEnv: [{name: SHUTDOWN_TIMEOUT, value: 40s}]":          50,
	} {
		r := renderChart(t, changed(t, changes))
		got := *r.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds
		delay, timeout := shutdown(t, r.environment())
		if got != want || time.Duration(got)*time.Second <= delay+timeout {
			t.Errorf("%s: terminationGracePeriodSeconds = %d, want %d, more than %v + %v", changes, got, want, delay, timeout)
		}
	}
}

func TestChartSoftMemoryLimitIsBelowTheLimit(t *testing.T) {
	for changes, want := range map[string]string{
		"{}":                                           "88MiB",
		"resources: {limits: {memory: 1Gi}}":           "563MiB",
		"resources: {limits: {memory: null}}":          "",
		"resources: {limits: {memory: 200M}}":          "",
		"goMemLimit: 100MiB":                           "100MiB",
		"extraEnv: [{name: GOMEMLIMIT, value: 90MiB}]": "90MiB",
	} {
		if got := renderChart(t, changed(t, changes)).environment()["GOMEMLIMIT"]; got != want {
			t.Errorf("%s: GOMEMLIMIT = %q, want %q", changes, got, want)
		}
	}
}

func TestChartChangesRollThePods(t *testing.T) {
	template := func(changes ...string) string {
		for _, document := range renderChart(t, changed(t, changes...)).documents {
			if strings.Contains(document, "kind: Deployment") {
				_, template, _ := strings.Cut(document, "\n  template:")
				return template
			}
		}
		return ""
	}
	const secret = "secret: {values: {dwolla-client-secret: x}}"
	before := template(secret)
	for changes, rolls := range map[string]bool{
		"config: {LOG_LEVEL: debug}":                      true,
		"secret: {values: {dwolla-client-secret: other}}": true,
		"secret: {version: '2'}":                          true,
		"image: {tag: 1.0.1}":                             true,
		"replicaCount: 5":                                 false,
		"podDisruptionBudget: {enabled: false}":           false,
		"service: {annotations: {a: b}}":                  false,
		"commonAnnotations: {a: b}":                       false,
	} {
		if got := template(changes, secret) != before; got != rolls {
			t.Errorf("%s: the Pods roll: %v, want %v", changes, got, rolls)
		}
	}
}

// A new version of the chart with the same values leaves the Pods alone.
func TestChartVersionIsNotInThePods(t *testing.T) {
	r := renderChart(t, valueSets(t)["production"])
	for name, value := range r.deployment.Spec.Template.Labels {
		if r.deployment.Spec.Selector.MatchLabels[name] != value {
			t.Errorf("the Pods have the label %s=%s, which a new version may change", name, value)
		}
	}
}

func TestChartNamesCanBeReplaced(t *testing.T) {
	r := renderChart(t, changed(t, "{fullnameOverride: tokens, namespaceOverride: payments, nameOverride: gate, serviceAccount: {create: true, name: robot}}"))
	pod := r.deployment.Spec.Template
	for what, got := range map[string][2]string{
		"Deployment":     {r.deployment.Name, "tokens"},
		"namespace":      {r.deployment.Namespace, "payments"},
		"ConfigMap":      {r.configMap.Name, "tokens-config"},
		"envFrom":        {pod.Spec.Containers[0].EnvFrom[0].ConfigMapRef.Name, "tokens-config"},
		"Secret":         {pod.Spec.Volumes[0].Secret.SecretName, "tokens-secrets"},
		"ServiceAccount": {r.serviceAccount.Name, "robot"},
		"of the Pod":     {pod.Spec.ServiceAccountName, "robot"},
		"label":          {pod.Labels["app.kubernetes.io/name"], "gate"},
		"selector":       {r.service.Spec.Selector["app.kubernetes.io/name"], "gate"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %q, want %q", what, got[0], got[1])
		}
	}
}

func TestChartPassesOnFieldsOfThePod(t *testing.T) {
	pod := renderChart(t, changed(t, `{priorityClassName: high, runtimeClassName: gvisor, nodeSelector: {disk: ssd},
		podSecurityContext: {runAsUser: null, fsGroup: null}, topologySpreadConstraints: []}`)).deployment.Spec.Template.Spec
	if pod.PriorityClassName != "high" || *pod.RuntimeClassName != "gvisor" || pod.NodeSelector["disk"] != "ssd" || len(pod.TopologySpreadConstraints) > 0 {
		t.Errorf("%+v", pod)
	}
	if c := pod.SecurityContext; c.RunAsUser != nil || c.FSGroup != nil || !isTrue(c.RunAsNonRoot) {
		t.Errorf("security context %+v, want no user for OpenShift", c)
	}
}

// Before the first release, both are 0.0.0, and the chart demands a tag or a digest.
func TestChartHasTheVersionOfTheChangelog(t *testing.T) {
	changelog, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "0.0.0"
	if released := regexp.MustCompile(`(?m)^## \[?v?([0-9]+\.[0-9]+\.[0-9]+\S*?)\]?( |$)`).FindSubmatch(changelog); released != nil {
		want = string(released[1])
	}
	if m := loadChart(t).Metadata; m.Version != want || m.AppVersion != want {
		t.Errorf("version %s, appVersion %s, want %s", m.Version, m.AppVersion, want)
	}
}

func TestChartLabelsOfUsersReplaceNoSelector(t *testing.T) {
	r := renderChart(t, changed(t, "{commonLabels: {app.kubernetes.io/component: mine, team: payments}, podLabels: {app.kubernetes.io/name: mine}}"))
	pod := r.deployment.Spec.Template.Labels
	for name, want := range r.deployment.Spec.Selector.MatchLabels {
		if pod[name] != want || r.service.Spec.Selector[name] != want {
			t.Errorf("%s: the Pods have %q, the Service selects %q, want %q", name, pod[name], r.service.Spec.Selector[name], want)
		}
	}
	if pod["team"] != "payments" || r.service.Labels["team"] != "payments" || r.service.Labels["app.kubernetes.io/component"] != "server" {
		t.Errorf("labels of the Pods %v, of the Service %v", pod, r.service.Labels)
	}
}

// Helm gives a dependency the global values of its parent, and the value of its condition.
func TestChartWorksAsADependency(t *testing.T) {
	renderChart(t, changed(t, "{enabled: true, global: {imageRegistry: registry.example.com}}"))
}
