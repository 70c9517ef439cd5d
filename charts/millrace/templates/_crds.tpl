{{/* Whose the cluster's CustomResourceDefinition of that name is: `ours` (or nobody's yet: there is
     none), `unmanaged`, or `NAMESPACE/RELEASE`: (list ROOT NAME). */}}
{{- define "millrace.crdOwner" -}}
{{- $root := index . 0 -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (index . 1) | default dict -}}
{{- $owner := dig "metadata" "annotations" dict $found | default dict -}}
{{- $name := printf "%s/%s" (get $owner "meta.helm.sh/release-namespace") (get $owner "meta.helm.sh/release-name") -}}
{{- if or (empty $found) (eq $name (printf "%s/%s" $root.Release.Namespace $root.Release.Name)) -}}
ours
{{- else if eq $name "/" -}}
unmanaged
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}
