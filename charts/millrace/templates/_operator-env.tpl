{{/* The operator's variables, as docs/operator.md has them. */}}
{{- define "millrace.operatorEnv" -}}
{{- $secret := include "millrace.operatorConnectionsSecret" . -}}
{{- $postgres := include "millrace.postgres" . | fromJson -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .Values.watchNamespaces }}
- name: WATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
- name: WORKERS_NAMESPACE
  value: {{ include "millrace.workersNamespace" . }}
- name: CLUSTER_DOMAIN
  value: {{ .Values.clusterDomain }}
- name: HEALTH_PORT
  value: "8090"
- name: RECONCILE_CONCURRENCY
  value: {{ int .Values.operator.concurrency | quote }}
- name: KEY_BCRYPT_COST
  value: {{ int .Values.operator.keyBcryptCost | quote }}
- name: SWEEP_AFTER_SECONDS
  value: {{ int .Values.operator.sweepAfterSeconds | quote }}
- name: SWEEP_EVERY_SECONDS
  value: {{ int .Values.operator.sweepEverySeconds | quote }}
- name: DRAIN_TIMEOUT_SECONDS
  value: {{ int .Values.operator.drainTimeoutSeconds | quote }}
- name: WORKER_IMAGE
  value: {{ include "millrace.image" (list . "transcode") | quote }}
- name: WORKER_IMAGE_PULL_POLICY
  value: {{ .Values.image.pullPolicy }}
{{- with .Values.image.pullSecrets }}
- name: WORKER_IMAGE_PULL_SECRETS
  value: {{ join "," . | quote }}
{{- end }}
- name: WORKER_SERVICE_ACCOUNT
  value: {{ include "millrace.fullname" . }}-worker
- name: WORKER_CONNECTIONS
  value: {{ include "millrace.connectionsSecret" . }}
{{- with include "millrace.caConfigMap" . }}
- name: WORKER_CA_CONFIG_MAP
  value: {{ . }}
{{- end }}
{{- with .Values.objectStore.claim }}
- name: MEDIA_CLAIM
  value: {{ . }}
- name: MEDIA_GROUP
  value: {{ int $.Values.objectStore.group | quote }}
{{- end }}
- name: WORKER_LOG
  value: {{ .Values.workers.logFilter | quote }}
- name: WORKER_LOG_FORMAT
  value: {{ .Values.workers.logFormat }}
{{- if .Values.workers.mockFfmpeg }}
- name: MOCK_FFMPEG
  value: "true"
{{- end }}
- name: DELIVERY_SERVICE
  value: {{ include "millrace.fullname" . }}-delivery
- name: DELIVERY_PORT
  value: {{ int .Values.delivery.service.port | quote }}
{{- with include "millrace.publicUrl" . }}
- name: PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.publishing.externalHost }}
- name: EXTERNAL_HOST
  value: {{ . | quote }}
{{- end }}
{{- with .Values.playback.defaultIngressClass }}
- name: DEFAULT_INGRESS_CLASS
  value: {{ . }}
{{- end }}
{{- with .Values.playback.rules }}
- name: PLAYBACK_RULES
  value: {{ toJson . | quote }}
{{- end }}
{{- if .Values.playback.keys.existingSecret }}
- name: PLAYBACK_KEYS
  value: "true"
{{- end }}
{{ include "millrace.fromSecret" (list "DATABASE_URL" $secret "DATABASE_URL" false) }}
{{- if .Values.migrations.enabled }}
{{ include "millrace.fromSecret" (list "DATABASE_MIGRATE_URL" $secret "DATABASE_MIGRATE_URL" false) }}
{{- range $role := list "control" "worker" "viewer" }}
{{- with (get $postgres $role).user }}
- name: DATABASE_ROLE_{{ upper $role }}
  value: {{ . | quote }}
{{- if $postgres.createRoles }}
{{- $name := printf "DATABASE_ROLE_%s_PASSWORD" (upper $role) }}
{{ include "millrace.fromSecret" (list $name $secret $name true) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{ include "millrace.poolEnv" . }}
{{- include "millrace.sharedEnv" (list . $secret) }}
{{ include "millrace.commonEnv" . | trim }}
{{- end -}}
