{{/* The name of most objects: the release's, with the chart's unless it holds it. A CronJob's may have 52 bytes. */}}
{{- define "reapify-mirror.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) }}{{ $name = printf "%s-%s" $name .Chart.Name }}{{ end -}}
{{- $name | trunc 44 | trimSuffix "-" -}}
{{- end }}

{{/* The part that the pods play. */}}
{{- define "reapify-mirror.component" -}}
{{- if eq .Values.mode "server" }}server{{ else }}pass{{ end -}}
{{- end }}

{{- define "reapify-mirror.release" -}}
app.kubernetes.io/name: reapify-mirror
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "reapify-mirror.selector" -}}
{{ include "reapify-mirror.release" . }}
app.kubernetes.io/component: {{ include "reapify-mirror.component" . }}
{{- end }}

{{- define "reapify-mirror.labels" -}}
{{ include "reapify-mirror.selector" . }}
{{ include "reapify-mirror.origin" . }}
{{- end }}

{{- define "reapify-mirror.origin" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "reapify-mirror.image" -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}
{{- end }}
