{{/* The prefix of all names. The longest suffix has 16 characters, and the name of a Service at most 63. */}}
{{- define "embedded-user-operator.fullname" -}}
{{- $name := .Release.Name }}
{{- if not (contains .Chart.Name $name) }}{{ $name = printf "%s-%s" $name .Chart.Name }}{{ end }}
{{- .Values.fullnameOverride | default $name | trunc 47 | trimSuffix "-" }}
{{- end }}

{{- define "embedded-user-operator.serviceAccountName" -}}
{{- $own := printf "%s-manager" (include "embedded-user-operator.fullname" .) }}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default $own }}
{{- else }}{{ required "serviceAccount.name is required if serviceAccount.create is false" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{/* The labels by which Services, policies and the Deployment select the operator's pods. */}}
{{- define "embedded-user-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end }}

{{/*
The labels and annotations of an object. Takes root, the context of the chart; component, if the object concerns the pods only; and
labels and annotations of the object itself.
*/}}
{{- define "embedded-user-operator.metadata" -}}
{{- $labels := dict
      "app.kubernetes.io/name" .root.Chart.Name
      "app.kubernetes.io/instance" .root.Release.Name
      "app.kubernetes.io/version" .root.Chart.AppVersion
      "app.kubernetes.io/managed-by" .root.Release.Service
      "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- with .component }}{{ $_ := set $labels "app.kubernetes.io/component" . }}{{ end -}}
labels:
  {{- merge $labels (.labels | default dict) .root.Values.commonLabels | toYaml | nindent 2 }}
{{- with merge dict (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "embedded-user-operator.image" -}}
{{- with .Values.image }}
{{- $repository := .repository }}
{{- with .registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}{{ end }}
{{- if .digest }}{{ $repository }}@{{ .digest }}{{ else }}{{ $repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* What the pods of the operator and of its test share. */}}
{{- define "embedded-user-operator.podSpec" -}}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- range $field := list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" }}
{{- with get $.Values $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "embedded-user-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
