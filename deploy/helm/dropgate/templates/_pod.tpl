{{/* The volumes of the server and of the test. */}}
{{- define "dropgate.volumes" -}}
{{- if .Values.secret.mount }}
- name: secrets
  secret:
    secretName: {{ include "dropgate.secretName" . }}
    defaultMode: 0440
{{- end }}
{{- range $listener, $tls := .Values.tls }}
{{- with $tls.secretName }}
- name: tls-{{ $listener }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- with .Values.caBundle.configMap }}
- name: ca
  configMap:
    name: {{ . }}
{{- end }}
{{- with .Values.caBundle.secret }}
- name: ca
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "dropgate.volumeMounts" -}}
{{- if .Values.secret.mount }}
- name: secrets
  mountPath: /run/secrets/dropgate
  readOnly: true
{{- end }}
{{- range $listener, $tls := .Values.tls }}
{{- if $tls.secretName }}
- name: tls-{{ $listener }}
  mountPath: /run/tls/{{ $listener }}
  readOnly: true
{{- end }}
{{- end }}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}
- name: ca
  mountPath: /run/ca
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The part of a container that the server and the test share. */}}
{{- define "dropgate.container" -}}
image: {{ include "dropgate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef:
      name: {{ include "dropgate.configName" . }}
  {{- with .Values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with include "dropgate.env" . | trim }}
env:
  {{- . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- with .Values.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The part of a Pod's specification that the server and the test share. */}}
{{- define "dropgate.podSpec" -}}
serviceAccountName: {{ include "dropgate.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automount }}
# Keeps variables such as DROPGATE_SERVICE_HOST out: the environment has settings only.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $field := list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" }}
{{- with get $.Values $field }}
{{ $field }}: {{ . }}
{{- end }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "hostAliases" "dnsConfig" }}
{{- with get $.Values $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A probe of the admin listener. In: root, path, probe (its numbers). */}}
{{- define "dropgate.probe" -}}
httpGet:
  path: {{ .path }}
  port: admin
  {{- if .root.Values.tls.admin.secretName }}
  scheme: HTTPS
  {{- end }}
{{ toYaml .probe }}
{{- end -}}
