{{/*
Ends the rendering with one message about everything that is missing or contradictory,
before Helm creates anything. `server -check` is the authority for the settings. Here are
only the rules for missing values, and those that the server cannot know: about replicas,
volumes and probes.
*/}}
{{- define "dropgate.checks" -}}
{{- $found := list -}}
{{- range $check := list "image" "secrets" "settings" "stores" "drain" "objects" "cluster" -}}
{{- $found = concat $found (include (printf "dropgate.check.%s" $check) $ | trim | splitList "\n" | compact) -}}
{{- end -}}
{{- if $found -}}
{{- printf "\n\nThe values of dropgate are not complete, or contradict each other:\n\n  - %s\n\nNothing was created. The chart's README and docs/helm.md explain the values.\n" (join "\n  - " $found) | fail -}}
{{- end -}}
{{- end -}}

{{- define "dropgate.check.image" -}}
{{- with .Values.image }}
{{- if not .repository }}
image.repository is missing: set your registry's name of the image
{{- end }}
{{- if and (not .tag) (not .digest) (eq $.Chart.AppVersion "0.0.0") }}
image.tag or image.digest is missing: this chart belongs to no release
{{- end }}
{{- end }}
{{- end -}}

{{/*
"yes" if a secret must not be given in the clear. DATABASE_URL may name a SQLite file, and
a proxy needs no password. In: name, value.
*/}}
{{- define "dropgate.isSecret" -}}
{{- if and (regexMatch "(SECRET|TOKEN|KEYS)$|^(DATABASE|REDIS)_URL$|^OTEL_EXPORTER_OTLP_HEADERS$" .name) (not (hasPrefix "sqlite:" (toString .value))) -}}yes{{- end -}}
{{- if and (regexMatch "^(HTTPS?_PROXY|https?_proxy)$" .name) (contains "@" (toString .value)) -}}yes{{- end -}}
{{- end -}}

{{- define "dropgate.check.secrets" -}}
{{- range $name, $value := .Values.config }}
{{- if and (ne (toString $value) "") (include "dropgate.isSecret" (dict "name" $name "value" $value)) }}
config.{{ $name }} is a secret: put it into a Secret, and its key into secret.keys.{{ $name }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if and .value (include "dropgate.isSecret" (dict "name" .name "value" .value)) }}
extraEnv gives the secret {{ .name }} in the clear: put it into a Secret, and its key into secret.keys.{{ .name }}
{{- end }}
{{- end }}
{{- with .Values.secret }}
{{- if and .mount .values }}
{{- range $name, $key := .keys }}
{{- if and $key (not (hasKey $.Values.secret.values $key)) }}
secret.values lacks {{ $key }}: secret.keys.{{ $name }} names this key
{{- end }}
{{- end }}
{{- end }}
{{- if and .values $.Values.externalSecret.enabled }}
secret.values and externalSecret.enabled both create the Secret: choose one of them
{{- end }}
{{- if and .values (not .mount) }}
secret.values needs secret.mount: true
{{- end }}
{{- end }}
{{- with .Values.externalSecret }}
{{- if .enabled }}
{{- if not .secretStoreRef.name }}
externalSecret.secretStoreRef.name is missing
{{- end }}
{{- if not (or .extract .remoteRefs) }}
externalSecret.extract or externalSecret.remoteRefs is missing: name the vault's entry
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.caBundle.configMap .Values.caBundle.secret }}
caBundle.configMap and caBundle.secret exclude each other
{{- end }}
{{- with .Values.egressProxy.url }}
{{- if contains "@" . }}
egressProxy.url has a password: put the URL into a Secret, and its key into secret.keys.HTTPS_PROXY
{{- end }}
{{- range $name := list "HTTPS_PROXY" "HTTP_PROXY" }}
{{- if or (get $.Values.config $name) (get $.Values.secret.keys $name) }}
egressProxy.url and {{ $name }} exclude each other
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* "yes" if a setting, or its file, has a value. In: root, name. */}}
{{- define "dropgate.isSet" -}}
{{- $file := printf "%s_FILE" .name -}}
{{- with .root.Values -}}
{{- if or (get .config $.name) (get .config $file) (and .secret.mount (get .secret.keys $.name)) .extraEnvFrom -}}yes{{- end -}}
{{- range .extraEnv }}{{- if has .name (list $.name $file) -}}yes{{- end -}}{{- end -}}
{{- if and .sqlite.enabled (eq $.name "DATABASE_URL") -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{/* One line for each missing setting. In: root, names, secrets, because. */}}
{{- define "dropgate.missing" -}}
{{- range .names }}
{{- if not (include "dropgate.isSet" (dict "root" $.root "name" .)) }}
config.{{ . }} is missing{{ $.because }}
{{- end }}
{{- end }}
{{- range .secrets }}
{{- if not (include "dropgate.isSet" (dict "root" $.root "name" .)) }}
secret.keys.{{ . }} is missing{{ $.because }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dropgate.check.settings" -}}
{{- include "dropgate.missing" (dict "root" . "names" (list "DWOLLA_ENVIRONMENT" "DWOLLA_CLIENT_ID" "ALLOWED_ACTIONS" "AUTH_MODES") "secrets" (list "DWOLLA_CLIENT_SECRET") "because" "") -}}
{{- $modes := include "dropgate.value" (dict "root" . "name" "AUTH_MODES" "otherwise" "") | nospace | splitList "," -}}
{{- if has "bearer" $modes -}}
{{- $parties := "" -}}
{{- range list "AUTH_BEARER_CLIENT_IDS" "AUTH_BEARER_REQUIRED_CLAIMS" -}}
{{- $parties = print $parties (include "dropgate.value" (dict "root" $ "name" . "otherwise" "")) -}}
{{- end -}}
{{- include "dropgate.missing" (dict "root" . "names" (ternary (list "AUTH_BEARER_ISSUER") (list "AUTH_BEARER_ISSUER" "AUTH_BEARER_AUDIENCE") (ne $parties "")) "secrets" list "because" ": AUTH_MODES has bearer") -}}
{{- end -}}
{{- if has "oidc" $modes -}}
{{- $secrets := list "AUTH_OIDC_CLIENT_SECRET" -}}
{{- if include "dropgate.isSet" (dict "root" . "name" "AUTH_OIDC_CLIENT_KEYS") -}}
{{- $secrets = list "SESSION_KEYS" -}}
{{- else if eq "none" (include "dropgate.value" (dict "root" . "name" "AUTH_OIDC_CLIENT_AUTH" "otherwise" "")) -}}
{{- $secrets = list "SESSION_KEYS" -}}
{{- end -}}
{{- include "dropgate.missing" (dict "root" . "names" (list "AUTH_OIDC_ISSUER" "AUTH_OIDC_CLIENT_ID" "PUBLIC_URL") "secrets" $secrets "because" ": AUTH_MODES has oidc") -}}
{{- end -}}
{{- if has "forward" $modes -}}
{{- include "dropgate.missing" (dict "root" . "names" (list "AUTH_FORWARD_URL") "secrets" list "because" ": AUTH_MODES has forward") -}}
{{- end -}}
{{- if has "proxy" $modes -}}
{{- include "dropgate.missing" (dict "root" . "names" (list "TRUSTED_PROXIES") "secrets" (list "AUTH_PROXY_SECRET") "because" ": AUTH_MODES has proxy") -}}
{{- end -}}
{{- range $listener := list "HTTP_ADDR" "ADMIN_ADDR" -}}
{{- $address := include "dropgate.value" (dict "root" $ "name" $listener "otherwise" ":1") }}
{{- if regexMatch "^(localhost|127[.].*|.*::1[]]):[^:]*$" $address }}
config.{{ $listener }} is an address of the Pod itself: nothing else could connect. Write :PORT
{{- else if not (regexMatch ":[1-9][0-9]*$" $address) }}
config.{{ $listener }} has no fixed port: write :PORT
{{- end }}
{{- end -}}
{{- end -}}

{{- define "dropgate.check.stores" -}}
{{- $many := or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) -}}
{{- $modes := include "dropgate.value" (dict "root" . "name" "AUTH_MODES" "otherwise" "") | nospace | splitList "," -}}
{{- $sessions := include "dropgate.value" (dict "root" . "name" "SESSION_STORE" "otherwise" "memory") -}}
{{- $source := include "dropgate.value" (dict "root" . "name" "CUSTOMER_SOURCE" "otherwise" "database") -}}
{{- if has "oidc" $modes }}
{{- if and $many (eq $sessions "memory") (not .Values.extraEnvFrom) }}
config.SESSION_STORE must be redis: with several Pods, each would have its own sessions
{{- end }}
{{- if eq $sessions "redis" }}
{{- include "dropgate.missing" (dict "root" . "names" list "secrets" (list "REDIS_URL") "because" ": SESSION_STORE is redis") }}
{{- end }}
{{- end }}
{{- if has $source (list "database" "query") }}
{{- include "dropgate.missing" (dict "root" . "names" list "secrets" (list "DATABASE_URL") "because" (printf ": CUSTOMER_SOURCE is %s%s" $source (ternary ". For SQLite, set sqlite.enabled" "" (eq $source "database")))) }}
{{- end }}
{{- if eq $source "query" }}
{{- include "dropgate.missing" (dict "root" . "names" (list "CUSTOMER_QUERY") "secrets" list "because" ": CUSTOMER_SOURCE is query") }}
{{- end }}
{{- if eq $source "lookup" }}
{{- include "dropgate.missing" (dict "root" . "names" (list "CUSTOMER_LOOKUP_URL") "secrets" list "because" ": CUSTOMER_SOURCE is lookup") }}
{{- end }}
{{- $webhooks := include "dropgate.isSet" (dict "root" . "name" "DWOLLA_WEBHOOK_SECRET") }}
{{- if and $webhooks (has $source (list "claim" "lookup")) }}
{{- include "dropgate.missing" (dict "root" . "names" list "secrets" (list "DATABASE_URL") "because" ": webhooks wait in a database. For SQLite, set sqlite.enabled") }}
{{- end }}
{{- if .Values.sqlite.enabled }}
{{- if .Values.autoscaling.enabled }}
sqlite.enabled and autoscaling.enabled exclude each other: SQLite serves one Pod
{{- else if $many }}
sqlite.enabled needs replicaCount: 1. SQLite serves one Pod
{{- end }}
{{- if .Values.migration.enabled }}
sqlite.enabled and migration.enabled exclude each other: the only server migrates the file
{{- end }}
{{- if get .Values.secret.keys "DATABASE_URL" }}
sqlite.enabled and secret.keys.DATABASE_URL exclude each other
{{- end }}
{{- if and (ne $source "database") (not $webhooks) }}
sqlite.enabled has no use: set config.CUSTOMER_SOURCE to database
{{- end }}
{{- end }}
{{- end -}}

{{- define "dropgate.check.drain" -}}
{{- $drain := include "dropgate.drain" . | float64 }}
{{- $grace := include "dropgate.gracePeriod" . | float64 }}
{{- if le $grace $drain }}
terminationGracePeriodSeconds is {{ $grace }}, but a drain takes up to {{ $drain }} s (SHUTDOWN_DELAY + SHUTDOWN_TIMEOUT): raise it, or set 0
{{- end }}
{{- $delay := include "dropgate.value" (dict "root" . "name" "SHUTDOWN_DELAY" "otherwise" "5s") | include "dropgate.seconds" | float64 }}
{{- $noticed := mulf .Values.readinessProbe.periodSeconds .Values.readinessProbe.failureThreshold | float64 }}
{{- if gt $noticed $delay }}
config.SHUTDOWN_DELAY is {{ $delay }} s, but readinessProbe needs {{ $noticed }} s to notice a drain (periodSeconds × failureThreshold)
{{- end }}
{{- $limit := include "dropgate.memoryLimit" . | int64 }}
{{- $soft := include "dropgate.mebibytes" .Values.goMemLimit | int64 }}
{{- if and $limit $soft (ge $soft $limit) }}
goMemLimit is {{ .Values.goMemLimit }}, but resources.limits.memory is {{ .Values.resources.limits.memory }}: the kernel would kill the process first
{{- end }}
{{- end -}}

{{- define "dropgate.check.objects" -}}
{{- with .Values.autoscaling }}
{{- if .enabled }}
{{- if lt (int .maxReplicas) (int .minReplicas) }}
autoscaling.maxReplicas is less than autoscaling.minReplicas
{{- end }}
{{- if not (or .targetCPUUtilizationPercentage .metrics) }}
autoscaling has no metric: set targetCPUUtilizationPercentage or metrics
{{- end }}
{{- if and .targetCPUUtilizationPercentage (not (dig "requests" "cpu" "" $.Values.resources)) }}
resources.requests.cpu is missing: autoscaling.targetCPUUtilizationPercentage refers to it
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $required := dict "ingress" "hosts" "httpRoute" "parentRefs" }}
{{- with get $.Values $name }}
{{- if .enabled }}
{{- if not (get . $required) }}
{{ $name }}.{{ $required }} is missing
{{- end }}
{{- if and $.Values.networkPolicy.enabled (not .from) }}
{{ $name }}.from is missing: name the Pods that forward the requests, or the network policy stops them
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.networkPolicy }}
{{- if and .enabled .egress.enabled }}
{{- range $store, $setting := dict "postgres" "DATABASE_URL" "redis" "REDIS_URL" }}
{{- if and (get $.Values.secret.keys $setting) (not (get $.Values.networkPolicy.egress $store)) (not $.Values.networkPolicy.egress.extra) }}
networkPolicy.egress.{{ $store }} is missing: secret.keys has {{ $setting }}
{{- end }}
{{- end }}
{{- if and $.Values.egressProxy.url (not .egress.extra) }}
networkPolicy.egress.extra is missing: egressProxy.url needs a rule for the proxy's address and port
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The Secret in the cluster. `helm template` has no cluster, and finds nothing. A namespace
with the ServiceAccount "default" exists; without it, --create-namespace makes one.
*/}}
{{- define "dropgate.check.cluster" -}}
{{- $own := or .Values.secret.values .Values.externalSecret.enabled -}}
{{- if and .Values.secret.mount .Values.secret.verify (not $own) }}
{{- $namespace := include "dropgate.namespace" . }}
{{- $name := include "dropgate.secretName" . }}
{{- $secret := lookup "v1" "Secret" $namespace $name }}
{{- if $secret }}
{{- range $setting, $key := .Values.secret.keys }}
{{- if and $key (not (hasKey ($secret.data | default dict) $key)) }}
the Secret {{ $name }} in the namespace {{ $namespace }} lacks the key {{ $key }}: secret.keys.{{ $setting }} names it
{{- end }}
{{- end }}
{{- with include "dropgate.migrationKey" . }}
{{- if not (hasKey ($secret.data | default dict) .) }}
the Secret {{ $name }} in the namespace {{ $namespace }} lacks the key {{ . }}: migration.databaseUrlKey names it
{{- end }}
{{- end }}
{{- else if lookup "v1" "ServiceAccount" $namespace "default" }}
the Secret {{ $name }} is missing in the namespace {{ $namespace }}: create it with {{ include "dropgate.createSecret" . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The command that creates the Secret from files with the names of the keys. */}}
{{- define "dropgate.createSecret" -}}
kubectl --namespace {{ include "dropgate.namespace" . }} create secret generic {{ include "dropgate.secretName" . }}
{{- range .Values.secret.keys }}{{ with . }} --from-file={{ . }}{{ end }}{{ end }}
{{- with include "dropgate.migrationKey" . }} --from-file={{ . }}{{ end }}
{{- end -}}

{{/* The key that only the migration's Job reads, if there is one. */}}
{{- define "dropgate.migrationKey" -}}
{{- if .Values.migration.enabled }}{{ .Values.migration.databaseUrlKey }}{{ end }}
{{- end -}}
