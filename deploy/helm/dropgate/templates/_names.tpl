{{- define "dropgate.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the objects: the release's, with the chart's name in it. */}}
{{- define "dropgate.fullname" -}}
{{- $name := include "dropgate.name" . -}}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- /* The longest suffix is "-egress-postgres". */ -}}
{{- .Values.fullnameOverride | default $release | trunc 47 | trimSuffix "-" -}}
{{- end -}}

{{- define "dropgate.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "dropgate.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "dropgate.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "dropgate.configName" -}}
{{- include "dropgate.fullname" . }}-config
{{- end -}}

{{- define "dropgate.secretName" -}}
{{- .Values.secret.name | default (printf "%s-secrets" (include "dropgate.fullname" .)) -}}
{{- end -}}

{{- define "dropgate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The labels that find the Pods. They never change: a Deployment's selector is immutable. */}}
{{- define "dropgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "dropgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{/*
The metadata of an object. In: root, and optionally suffix (of the name), name, labels,
annotations, component. commonLabels cannot replace the chart's own labels.
*/}}
{{- define "dropgate.metadata" -}}
{{- $own := include "dropgate.selectorLabels" .root | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63) -}}
{{- $_ := set $own "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_" | trunc 63) -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- with .component }}{{- $_ := set $own "app.kubernetes.io/component" . -}}{{- end -}}
name: {{ .name | default (printf "%s%s" (include "dropgate.fullname" .root) (.suffix | default "")) }}
namespace: {{ include "dropgate.namespace" .root }}
labels:
  {{- merge $own (.labels | default dict) .root.Values.commonLabels | toYaml | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
