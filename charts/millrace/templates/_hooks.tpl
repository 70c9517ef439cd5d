{{/* Annotations of what the pre-delete hook consists of: the weight. */}}
{{- define "millrace.releaseHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
