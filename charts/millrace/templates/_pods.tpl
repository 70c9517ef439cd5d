{{/* What pods share: restricted security, placement, probes. */}}

{{/* Of a pod. The images' user has a number, so nothing needs to be said of it. */}}
{{- define "millrace.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Of a container. */}}
{{- define "millrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The container's image: (list ROOT IMAGE). */}}
{{- define "millrace.containerImage" -}}
image: {{ include "millrace.image" . | quote }}
imagePullPolicy: {{ (index . 0).Values.image.pullPolicy }}
{{- end -}}

{{/* Where a pod may run: (list ROOT VALUES), VALUES being those of a program. Service links would
     set variables such as DELIVERY_PORT. */}}
{{- define "millrace.placement" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* The probes of our programs: the port's name. */}}
{{- define "millrace.probes" -}}
startupProbe:
  httpGet: {path: /health/live, port: {{ . }}}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /health/ready, port: {{ . }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /health/live, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 2
  failureThreshold: 6
{{- end -}}

{{/* Volumes of operator and delivery: certificates, media. */}}
{{- define "millrace.volumes" -}}
{{- if include "millrace.caConfigMap" . }}
- name: ca
  configMap:
    name: {{ include "millrace.caConfigMap" . }}
{{- end }}
{{- if .Values.objectStore.claim }}
- name: media
  persistentVolumeClaim:
    claimName: {{ .Values.objectStore.claim }}
{{- end }}
{{- end -}}

{{- define "millrace.volumeMounts" -}}
{{- if include "millrace.caConfigMap" . }}
- name: ca
  mountPath: /etc/millrace/ca
  readOnly: true
{{- end }}
{{- if .Values.objectStore.claim }}
- name: media
  mountPath: {{ trimPrefix "file://" .Values.objectStore.url }}
{{- end }}
{{- end -}}

{{/* The keys that sign viewers' tokens, for delivery. The whole folder, so that a change of the Secret
     comes to the pod; a Secret that is not there yet keeps no public stream from its viewers. */}}
{{- define "millrace.playbackKeysVolume" -}}
{{- with .Values.playback.keys.existingSecret }}
- name: playback-keys
  secret:
    secretName: {{ . }}
    optional: true
{{- end }}
{{- end -}}

{{- define "millrace.playbackKeysMount" -}}
{{- if .Values.playback.keys.existingSecret }}
- name: playback-keys
  mountPath: /etc/millrace/playback
  readOnly: true
{{- end }}
{{- end -}}
