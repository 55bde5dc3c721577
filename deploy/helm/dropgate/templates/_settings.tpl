{{/* A setting as text. A list becomes comma-separated. A number from a file of values is a float. */}}
{{- define "dropgate.text" -}}
{{- if kindIs "slice" . -}}{{- join "," . -}}
{{- else if kindIs "float64" . -}}{{- int64 . -}}
{{- else -}}{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* The data of the ConfigMap, as YAML. */}}
{{- define "dropgate.config" -}}
{{- $data := dict -}}
{{- range $name, $value := .Values.config -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $data $name (include "dropgate.text" $value) -}}{{- end -}}
{{- end -}}
{{- if .Values.sqlite.enabled -}}{{- $_ := set $data "DATABASE_URL" "sqlite:/data/dropgate.db" -}}{{- end -}}
{{- if .Values.migration.enabled -}}{{- $_ := set $data "DATABASE_MIGRATE" "job" -}}{{- end -}}
{{- toYaml $data -}}
{{- end -}}

{{/* The environment of the container besides the ConfigMap, as a YAML list. extraEnv replaces the chart's own variables. */}}
{{- define "dropgate.env" -}}
{{- $own := dict -}}
{{- with include "dropgate.goMemLimit" . }}{{- $_ := set $own "GOMEMLIMIT" . -}}{{- end -}}
{{- if .Values.secret.mount -}}
{{- range $name, $key := .Values.secret.keys -}}
{{- if $key }}{{- $_ := set $own (printf "%s_FILE" $name) (printf "/run/secrets/dropgate/%s" $key) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.tls.http.secretName -}}
{{- $_ := set $own "TLS_CERT_FILE" "/run/tls/http/tls.crt" -}}
{{- $_ := set $own "TLS_KEY_FILE" "/run/tls/http/tls.key" -}}
{{- end -}}
{{- if .Values.tls.admin.secretName -}}
{{- $_ := set $own "ADMIN_TLS_CERT_FILE" "/run/tls/admin/tls.crt" -}}
{{- $_ := set $own "ADMIN_TLS_KEY_FILE" "/run/tls/admin/tls.key" -}}
{{- end -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret -}}
{{- /* A directory adds to the image's own certificates. SSL_CERT_FILE would replace them. */ -}}
{{- $_ := set $own "SSL_CERT_DIR" "/run/ca" -}}
{{- end -}}
{{- with .Values.egressProxy.url -}}
{{- $_ := set $own "HTTPS_PROXY" . -}}
{{- $_ := set $own "HTTP_PROXY" . -}}
{{- end -}}
{{- with .Values.egressProxy.noProxy }}{{- $_ := set $own "NO_PROXY" . -}}{{- end -}}
{{- range .Values.extraEnv }}{{- $_ := unset $own .name -}}{{- end -}}
{{- range $name, $value := $own }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The value of a setting, or else a default. In: root, name, otherwise. For the checks and the probes. */}}
{{- define "dropgate.value" -}}
{{- $name := .name -}}
{{- $value := get .root.Values.config $name | default "" -}}
{{- range .root.Values.extraEnv }}{{- if and (eq .name $name) .value }}{{- $value = .value -}}{{- end -}}{{- end -}}
{{- include "dropgate.text" ($value | default .otherwise) | trim -}}
{{- end -}}

{{/* The port of a listener's address. In: root, name, otherwise. */}}
{{- define "dropgate.port" -}}
{{- include "dropgate.value" . | regexFind "[0-9]+$" -}}
{{- end -}}

{{/* The path of the service for an Ingress or an HTTPRoute. In: root, path. */}}
{{- define "dropgate.path" -}}
{{- .path | default (include "dropgate.value" (dict "root" .root "name" "BASE_PATH" "otherwise" "/")) -}}
{{- end -}}

{{/* A duration as Go writes it, in seconds. */}}
{{- define "dropgate.seconds" -}}
{{- $units := dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001 "us" 0.000001 "µs" 0.000001 "ns" 0.000000001 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+(?:ns|us|µs|ms|s|m|h)" . -1 -}}
{{- $unit := regexFind "[a-zµ]+$" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* SHUTDOWN_DELAY and SHUTDOWN_TIMEOUT together, in seconds. */}}
{{- define "dropgate.drain" -}}
{{- $delay := include "dropgate.value" (dict "root" . "name" "SHUTDOWN_DELAY" "otherwise" "5s") | include "dropgate.seconds" | float64 -}}
{{- $timeout := include "dropgate.value" (dict "root" . "name" "SHUTDOWN_TIMEOUT" "otherwise" "20s") | include "dropgate.seconds" | float64 -}}
{{- addf $delay $timeout -}}
{{- end -}}

{{- define "dropgate.gracePeriod" -}}
{{- .Values.terminationGracePeriodSeconds | int | default (add (include "dropgate.drain" . | float64 | ceil | int) 5) -}}
{{- end -}}

{{/* A quantity of memory in Mi or Gi (or MiB or GiB), in MiB. Empty for other units. */}}
{{- define "dropgate.mebibytes" -}}
{{- if regexMatch "^[0-9]+Mi(B)?$" . -}}{{- regexFind "^[0-9]+" . -}}
{{- else if regexMatch "^[0-9]+Gi(B)?$" . -}}{{- mul (regexFind "^[0-9]+" . | int64) 1024 -}}
{{- end -}}
{{- end -}}

{{/* The container's memory limit in MiB, or empty. */}}
{{- define "dropgate.memoryLimit" -}}
{{- dig "limits" "memory" "" .Values.resources | toString | include "dropgate.mebibytes" -}}
{{- end -}}

{{- define "dropgate.goMemLimit" -}}
{{- $limit := include "dropgate.memoryLimit" . -}}
{{- if .Values.goMemLimit -}}{{- .Values.goMemLimit -}}
{{- else if $limit -}}{{- div (mul (int64 $limit) 55) 100 -}}MiB
{{- end -}}
{{- end -}}
