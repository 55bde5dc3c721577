package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
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
		template, test := r.deployment.Spec.Template, testPod(t, r)
		results := evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec)
		results = append(results, evaluator.EvaluatePod(restricted, &test.ObjectMeta, &test.Spec)...)
		for _, result := range results {
			if !result.Allowed {
				t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	})
}

func testPod(t *testing.T, r rendering) *corev1.Pod {
	t.Helper()
	object, err := decode([]byte(r.test))
	if err != nil {
		t.Fatalf("%v in\n%s", err, r.test)
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		t.Fatalf("the test is a %T", object)
	}
	return pod
}

// A Pod of helm test must not get requests from browsers, nor count as a replica.
func TestChartTestPodRunsTheServersCheckOnly(t *testing.T) {
	eachSet(t, func(t *testing.T, r rendering) {
		pod := testPod(t, r)
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
