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

{{/* The ports of a server as the values have them, as JSON: (list ROOT NAME). What is in Secrets of
     somebody else is not known here: the usual ones. */}}
{{- define "millrace.serverPorts" -}}
{{- $values := (index . 0).Values -}}
{{- $name := index . 1 -}}
{{- $ports := list -}}
{{- if $values.connections.existingSecret -}}
{{- $ports = append $ports (get (dict "postgres" 5432 "redis" 6379 "kafka" 9092 "objectStore" 443) $name) -}}
{{- else if eq $name "postgres" -}}
{{- $ports = append $ports (int $values.postgres.port) -}}
{{- else if eq $name "redis" -}}
{{- range list "url" "keysUrl" "mediaUrl" "metricsUrl" "viewersUrl" -}}
{{- with get $values.redis . }}{{ $ports = append $ports (include "millrace.urlPort" . | int) }}{{ end -}}
{{- end -}}
{{- else if eq $name "kafka" -}}
{{- range splitList "," $values.kafka.brokers }}{{ $ports = append $ports (include "millrace.urlPort" . | int) }}{{ end -}}
{{- else -}}
{{- $ports = append $ports (include "millrace.urlPort" (default "https://" $values.objectStore.endpoint) | int) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* The port of a URL, or that of its scheme. */}}
{{- define "millrace.urlPort" -}}
{{- $authority := regexFind "^([a-z]+://)?[^/]*" . -}}
{{- $usual := get (dict "http" 80 "https" 443 "redis" 6379 "rediss" 6379) (first (splitList ":" .)) -}}
{{- regexFind ":[0-9]+$" $authority | trimPrefix ":" | default $usual -}}
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
{{- $ports := $server.ports | default (include "millrace.serverPorts" (list $root $name) | fromJsonArray) }}
{{ include "millrace.egress" (list $server.to $ports) }}
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
