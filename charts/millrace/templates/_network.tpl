{{/* Peers and rules of NetworkPolicies. */}}

{{/* The head of a policy: (list ROOT COMPONENT NAMESPACE). */}}
{{- define "millrace.policyMetadata" -}}
name: {{ include "millrace.fullname" (index . 0) }}-{{ index . 1 }}
namespace: {{ index . 2 }}
labels:
  {{- include "millrace.labels" (list (index . 0) (index . 1)) | nindent 2 }}
{{- end -}}


{{/* An egress rule: (list PEERS PORTS). No peers: every address. */}}
{{- define "millrace.egress" -}}
- ports:
    {{- range index . 1 }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
  {{- with index . 0 }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* An ingress rule: (list PEERS PORTS). No peers: everybody. */}}
{{- define "millrace.ingress" -}}
- ports:
    {{- range index . 1 }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with index . 0 }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Looking up names. */}}
{{- define "millrace.egressDns" -}}
- ports:
    {{- range .Values.networkPolicies.dns.ports }}
    - {protocol: UDP, port: {{ int . }}}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
  {{- with .Values.networkPolicies.dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* To the servers named: (list ROOT NAMES). Those of the quickstart are known pods. */}}
{{- define "millrace.egressServers" -}}
{{- $root := index . 0 -}}
{{- $quickstart := dict "postgres" (list "postgres" 5432) "redis" (list "redis" 6379) "kafka" (list "kafka" 9092) "objectStore" (list "s3" 9000) -}}
{{- range $name := index . 1 }}
{{- if $root.Values.quickstart.enabled }}
{{- $server := get $quickstart $name }}
{{ include "millrace.egress" (list (list (include "millrace.podPeer" (list $root (printf "quickstart-%s" (first $server)) $root.Release.Namespace) | fromYaml)) (list (last $server))) }}
{{- else if or (ne $name "objectStore") (not $root.Values.objectStore.claim) }}
{{- $server := get $root.Values.networkPolicies $name }}
{{ include "millrace.egress" (list $server.to $server.ports) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Pods of this release: (list ROOT COMPONENT NAMESPACE). */}}
{{- define "millrace.podPeer" -}}
namespaceSelector:
  matchLabels: {kubernetes.io/metadata.name: {{ index . 2 }}}
podSelector:
  matchLabels:
    {{- include "millrace.selector" (list (index . 0) (index . 1)) | nindent 4 }}
{{- end -}}

{{/* Workers of streams, whom the operator makes: (list COMPONENT NAMESPACE). */}}
{{- define "millrace.workerPeer" -}}
namespaceSelector:
  matchLabels: {kubernetes.io/metadata.name: {{ index . 1 }}}
podSelector:
  matchLabels:
    {{- include "millrace.workerSelector" (index . 0) | nindent 4 }}
{{- end -}}

{{- define "millrace.workerSelector" -}}
app.kubernetes.io/name: millrace
app.kubernetes.io/managed-by: millrace-operator
app.kubernetes.io/component: {{ . }}
{{- end -}}
