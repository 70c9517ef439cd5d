{{/* Names, labels, images. Every template takes the root context, unless it says otherwise. */}}

{{- define "millrace.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 30 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 30 characters: a StatefulSet whose name is longer than 52 can make no pods. */}}
{{- define "millrace.fullname" -}}
{{- $name := include "millrace.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 30 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 30 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of an object that is in no namespace: (list ROOT ROLE). RBAC allows the colon. */}}
{{- define "millrace.clusterName" -}}
{{- $root := index . 0 -}}
{{- printf "%s:%s:%s" $root.Release.Namespace (include "millrace.fullname" $root) (index . 1) -}}
{{- end -}}

{{- define "millrace.workersNamespace" -}}
{{- default .Release.Namespace .Values.workers.namespace -}}
{{- end -}}

{{/* What a selector asks for: (list ROOT COMPONENT). */}}
{{- define "millrace.selector" -}}
app.kubernetes.io/name: millrace
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* (list ROOT COMPONENT) */}}
{{- define "millrace.labels" -}}
{{- $root := index . 0 -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod: no version, so that an upgrade that changes nothing else restarts nothing.
     (list ROOT COMPONENT LABELS) */}}
{{- define "millrace.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "millrace.selector" . }}
{{- range $labels := list $root.Values.commonLabels (index . 2) }}
{{- with $labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* (list ROOT IMAGE), IMAGE being operator, transcode or quickstart */}}
{{- define "millrace.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.image (index . 1) -}}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ coalesce $image.tag $root.Values.image.tag $root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* Where viewers reach delivery; empty when nobody said so. */}}
{{- define "millrace.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{- trimSuffix "/" .Values.publicUrl -}}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{- printf "%s://%s" (ternary "https" "http" (not (empty .Values.ingress.tls))) (first .Values.ingress.hosts) -}}
{{- end -}}
{{- end -}}
