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

{{/* Scheme of a URL, in lower case; empty: it has none. */}}
{{- define "mqtt-to-blob.scheme" -}}
{{- lower . | regexFind "^[a-z]+://" | trimSuffix "://" }}
{{- end }}

{{/* Port in host:port or in a URL; empty: it says none. IPv6 has brackets where a port follows. */}}
{{- define "mqtt-to-blob.port" -}}
{{- $authority := regexReplaceAll "^[A-Za-z]+://" . "" | regexFind "^[^/?#]*" }}
{{- regexFind "^([^:]*|\\[.*\\]):[0-9]+$" $authority | regexFind "[0-9]+$" }}
{{- end }}

{{/* BROKER_PORT or the one of BROKER_URL; without them the program's own default, which is the
transport's: of the URL's scheme or MQTT_TRANSPORT. */}}
{{- define "mqtt-to-blob.brokerPort" -}}
{{- $ports := dict "tcp" "1883" "mqtt" "1883" "tls" "8883" "mqtts" "8883" "ssl" "8883" "ws" "80" "wss" "443" }}
{{- $transport := .Values.settings.MQTT_TRANSPORT | default "tcp" | lower }}
{{- $scheme := include "mqtt-to-blob.scheme" .Values.settings.BROKER_URL | default $transport }}
{{- $port := include "mqtt-to-blob.port" .Values.settings.BROKER_URL }}
{{- .Values.settings.BROKER_PORT | default $port | default (get $ports $scheme) }}
{{- end }}

{{/* Port of MINIO_URL; without one that of its scheme or of MINIO_SECURE. */}}
{{- define "mqtt-to-blob.storePort" -}}
{{- $secure := .Values.settings.MINIO_SECURE | default "True" | lower }}
{{- $scheme := has $secure (list "true" "yes" "on" "1") | ternary "https" "http" }}
{{- $scheme = include "mqtt-to-blob.scheme" .Values.settings.MINIO_URL | default $scheme }}
{{- $port := include "mqtt-to-blob.port" .Values.settings.MINIO_URL }}
{{- default (eq $scheme "https" | ternary "443" "80") $port }}
{{- end }}
