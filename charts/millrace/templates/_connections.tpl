{{/* How programs reach Postgres, Redis, Kafka and the object store: what the Secrets hold, and the
     variables that refer to them. Variables are those of docs/architecture.md, "The environment". */}}

{{- define "millrace.connectionsSecret" -}}
{{- default (printf "%s-connections" (include "millrace.fullname" .)) .Values.connections.existingSecret -}}
{{- end -}}

{{- define "millrace.operatorConnectionsSecret" -}}
{{- default (printf "%s-operator-connections" (include "millrace.fullname" .)) .Values.connections.existingOperatorSecret -}}
{{- end -}}

{{/* What only the API of delivery has. */}}
{{- define "millrace.apiConnectionsSecret" -}}
{{- default (ternary .Values.connections.existingSecret (printf "%s-api-connections" (include "millrace.fullname" .)) (not (empty .Values.connections.existingSecret))) .Values.connections.existingApiSecret -}}
{{- end -}}

{{/* The ConfigMap with certificates; empty where there are none. */}}
{{- define "millrace.caConfigMap" -}}
{{- if .Values.certificateAuthority.existingConfigMap -}}
{{- .Values.certificateAuthority.existingConfigMap -}}
{{- else if .Values.certificateAuthority.pem -}}
{{- include "millrace.fullname" . }}-ca
{{- end -}}
{{- end -}}

{{/* A server of the quickstart as clients resolve it: (list ROOT SERVER). */}}
{{- define "millrace.quickstartHost" -}}
{{- $root := index . 0 -}}
{{- printf "%s-quickstart-%s.%s.svc.%s" (include "millrace.fullname" $root) (index . 1) $root.Release.Namespace $root.Values.clusterDomain -}}
{{- end -}}

{{/* The quickstart's passwords, as JSON: those of the Secret that is there, else new ones. They are
     kept in the values, so that every template of one rendering sees the same. */}}
{{- define "millrace.quickstartPasswords" -}}
{{- if not (hasKey .Values.quickstart "passwords") -}}
{{- $name := printf "%s-quickstart" (include "millrace.fullname" .) -}}
{{- $found := dig "data" dict (lookup "v1" "Secret" .Release.Namespace $name | default dict) | default dict -}}
{{- $passwords := dict -}}
{{- range $key := list "POSTGRES_PASSWORD" "CONTROL_PASSWORD" "WORKER_PASSWORD" "VIEWER_PASSWORD" "REDIS_PASSWORD" "S3_ACCESS_KEY_ID" "S3_SECRET_ACCESS_KEY" -}}
{{- $_ := set $passwords $key (get $found $key | b64dec | default (randAlphaNum 32)) -}}
{{- end -}}
{{- $_ := set .Values.quickstart "passwords" $passwords -}}
{{- end -}}
{{- toJson .Values.quickstart.passwords -}}
{{- end -}}

{{/* The values of postgres as they are used, as JSON: the quickstart's where that is on. */}}
{{- define "millrace.postgres" -}}
{{- $postgres := deepCopy .Values.postgres -}}
{{- if .Values.quickstart.enabled -}}
{{- $passwords := include "millrace.quickstartPasswords" . | fromJson -}}
{{- $_ := set $postgres "host" (include "millrace.quickstartHost" (list . "postgres")) -}}
{{- $_ := set $postgres "port" 5432 -}}
{{- $_ := set $postgres "database" "millrace" -}}
{{- $_ := set $postgres "options" "" -}}
{{- $_ := set $postgres "createRoles" true -}}
{{- $_ := set $postgres "owner" (dict "user" "postgres" "password" $passwords.POSTGRES_PASSWORD) -}}
{{- range $role := list "control" "worker" "viewer" -}}
{{- $_ := set $postgres $role (dict "user" (printf "millrace_%s" $role) "password" (get $passwords (printf "%s_PASSWORD" (upper $role)))) -}}
{{- end -}}
{{- end -}}
{{- toJson $postgres -}}
{{- end -}}

{{/* A part of a URL that may hold anything. */}}
{{- define "millrace.escape" -}}
{{- . | urlquery | replace "+" "%20" -}}
{{- end -}}

{{/* Postgres's URL for a role; for that of the owner where it has no user: (list POSTGRES ROLE). */}}
{{- define "millrace.databaseUrl" -}}
{{- $postgres := index . 0 -}}
{{- $role := get $postgres (index . 1) -}}
{{- if not $role.user }}{{ $role = $postgres.owner }}{{ end -}}
postgres://{{ include "millrace.escape" $role.user -}}
{{- with $role.password }}:{{ include "millrace.escape" . }}{{ end -}}
@{{ $postgres.host }}:{{ int $postgres.port }}/{{ $postgres.database }}
{{- with $postgres.options }}?{{ . }}{{ end -}}
{{- end -}}

{{/* What every program's Secret holds, as JSON. */}}
{{- define "millrace.sharedConnections" -}}
{{- $values := .Values -}}
{{- $data := dict -}}
{{- if $values.quickstart.enabled -}}
{{- $passwords := include "millrace.quickstartPasswords" . | fromJson -}}
{{- $_ := set $data "REDIS_URL" (printf "redis://:%s@%s:6379" $passwords.REDIS_PASSWORD (include "millrace.quickstartHost" (list . "redis"))) -}}
{{- $_ := set $data "KAFKA_BROKERS" (printf "%s:9092" (include "millrace.quickstartHost" (list . "kafka"))) -}}
{{- $_ := set $data "OBJECT_STORE_URL" "s3://millrace" -}}
{{- $_ := set $data "S3_ENDPOINT" (printf "http://%s:9000" (include "millrace.quickstartHost" (list . "s3"))) -}}
{{- $_ := set $data "S3_REGION" "us-east-1" -}}
{{- $_ := set $data "S3_ACCESS_KEY_ID" $passwords.S3_ACCESS_KEY_ID -}}
{{- $_ := set $data "S3_SECRET_ACCESS_KEY" $passwords.S3_SECRET_ACCESS_KEY -}}
{{- else -}}
{{- $_ := set $data "REDIS_URL" $values.redis.url -}}
{{- $_ := set $data "REDIS_KEYS_URL" $values.redis.keysUrl -}}
{{- $_ := set $data "REDIS_MEDIA_URL" $values.redis.mediaUrl -}}
{{- $_ := set $data "REDIS_METRICS_URL" $values.redis.metricsUrl -}}
{{- $_ := set $data "REDIS_VIEWERS_URL" $values.redis.viewersUrl -}}
{{- $_ := set $data "KAFKA_BROKERS" $values.kafka.brokers -}}
{{- if $values.kafka.tls }}{{ $_ := set $data "KAFKA_TLS" "true" }}{{ end -}}
{{- $_ := set $data "KAFKA_SASL_MECHANISM" $values.kafka.sasl.mechanism -}}
{{- $_ := set $data "KAFKA_SASL_USERNAME" $values.kafka.sasl.username -}}
{{- $_ := set $data "KAFKA_SASL_PASSWORD" $values.kafka.sasl.password -}}
{{- $_ := set $data "OBJECT_STORE_URL" $values.objectStore.url -}}
{{- if hasPrefix "s3:" $values.objectStore.url -}}
{{- $_ := set $data "S3_ENDPOINT" $values.objectStore.endpoint -}}
{{- $_ := set $data "S3_REGION" $values.objectStore.region -}}
{{- $_ := set $data "S3_ACCESS_KEY_ID" $values.objectStore.accessKeyId -}}
{{- $_ := set $data "S3_SECRET_ACCESS_KEY" $values.objectStore.secretAccessKey -}}
{{- end -}}
{{- end -}}
{{- toJson $data -}}
{{- end -}}

{{/* Entries of a Secret: a map of texts, the empty ones left out. */}}
{{- define "millrace.secretData" -}}
{{- range $key, $value := . }}
{{- if $value }}
{{ $key }}: {{ $value | b64enc | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Changes when what the values say of the servers does, so that pods are replaced. */}}
{{- define "millrace.connectionsChecksum" -}}
{{- list .Values.connections .Values.postgres .Values.redis .Values.kafka .Values.objectStore .Values.certificateAuthority .Values.quickstart.enabled | toJson | sha256sum -}}
{{- end -}}

{{/* A variable from a Secret: (list NAME SECRET KEY OPTIONAL). */}}
{{- define "millrace.fromSecret" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
      {{- if index . 3 }}
      optional: true
      {{- end }}
{{- end -}}

{{/* Variables of Redis, Kafka and the object store: (list ROOT SECRET). */}}
{{- define "millrace.sharedEnv" -}}
{{- $secret := index . 1 -}}
{{- range $name := list "REDIS_URL" "KAFKA_BROKERS" "OBJECT_STORE_URL" }}
{{ include "millrace.fromSecret" (list $name $secret $name false) }}
{{- end }}
{{- range $name := list "REDIS_KEYS_URL" "REDIS_MEDIA_URL" "REDIS_METRICS_URL" "REDIS_VIEWERS_URL" "KAFKA_TLS" "KAFKA_SASL_MECHANISM" "KAFKA_SASL_USERNAME" "KAFKA_SASL_PASSWORD" "S3_ENDPOINT" "S3_REGION" "S3_ACCESS_KEY_ID" "S3_SECRET_ACCESS_KEY" }}
{{ include "millrace.fromSecret" (list $name $secret $name true) }}
{{- end }}
{{- if include "millrace.caConfigMap" (index . 0) }}
{{- range $name := list "DATABASE_CA_FILE" "REDIS_CA_FILE" "KAFKA_CA_FILE" "S3_CA_FILE" }}
- name: {{ $name }}
  value: /etc/millrace/ca/ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{/* Variables of a pool of connections to Postgres. */}}
{{- define "millrace.poolEnv" -}}
- name: DATABASE_MAX_CONNECTIONS
  value: {{ int .Values.postgres.maxConnections | quote }}
- name: DATABASE_ACQUIRE_TIMEOUT_MS
  value: {{ int .Values.postgres.acquireTimeoutMs | quote }}
- name: DATABASE_STATEMENT_TIMEOUT_MS
  value: {{ int .Values.postgres.statementTimeoutMs | quote }}
- name: DATABASE_IDLE_TIMEOUT_SECONDS
  value: {{ int .Values.postgres.idleTimeoutSeconds | quote }}
{{- end -}}

{{/* Variables of every program. */}}
{{- define "millrace.commonEnv" -}}
{{- with .Values.installation }}
- name: MILLRACE_INSTALLATION
  value: {{ . | quote }}
{{- end }}
- name: RUST_LOG
  value: {{ .Values.log.filter | quote }}
- name: LOG_FORMAT
  value: {{ .Values.log.format }}
{{- end -}}
