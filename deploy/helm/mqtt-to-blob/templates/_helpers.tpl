{{- define "mqtt-to-blob.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
A StatefulSet's name is part of the names of its pods and of a label with a hash, so it may not use
all of the 63 characters.
*/}}
{{- define "mqtt-to-blob.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "mqtt-to-blob.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "mqtt-to-blob.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "mqtt-to-blob.selector" -}}
app.kubernetes.io/name: {{ include "mqtt-to-blob.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mqtt-to-blob.labels" -}}
{{ include "mqtt-to-blob.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
{{- end }}

{{- define "mqtt-to-blob.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "mqtt-to-blob.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "mqtt-to-blob.secret" -}}
{{- $given := .Values.credentials }}
{{- if $given.existingSecret }}
{{- $given.existingSecret }}
{{- else if and $given.accessKey $given.secretKey }}
{{- include "mqtt-to-blob.fullname" . }}
{{- else }}
{{- fail "set credentials.existingSecret, or credentials.accessKey and credentials.secretKey" }}
{{- end }}
{{- end }}

{{/* The key of the broker's password in the Secret; empty: there is none. */}}
{{- define "mqtt-to-blob.passwordKey" -}}
{{- if .Values.credentials.existingSecret }}
{{- .Values.credentials.keys.mqttPassword }}
{{- else if .Values.credentials.mqttPassword }}
{{- "mqtt-password" }}
{{- end }}
{{- end }}

{{/* The key of the spool's key in the mounted Secret; empty: the spool is not encrypted. */}}
{{- define "mqtt-to-blob.spoolKey" -}}
{{- if .Values.credentials.existingSecret }}
{{- .Values.credentials.keys.spoolKey }}
{{- end }}
{{- end }}

{{/* BROKER_PORT, and without it the program's own default, which is MQTT_TRANSPORT's. */}}
{{- define "mqtt-to-blob.brokerPort" -}}
{{- $transport := .Values.settings.MQTT_TRANSPORT | default "tcp" | lower }}
{{- $port := get (dict "tcp" "1883" "tls" "8883" "ws" "80" "wss" "443") $transport }}
{{- default $port .Values.settings.BROKER_PORT }}
{{- end }}

{{/* Port of MINIO_URL: behind its last colon, unless that is inside of IPv6 brackets. */}}
{{- define "mqtt-to-blob.storePort" -}}
{{- $secure := .Values.settings.MINIO_SECURE | default "True" | lower }}
{{- $port := regexFind ":[0-9]+$" .Values.settings.MINIO_URL | trimPrefix ":" }}
{{- default (has $secure (list "true" "yes" "on" "1") | ternary "443" "80") $port }}
{{- end }}
