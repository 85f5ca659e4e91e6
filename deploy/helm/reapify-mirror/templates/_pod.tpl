{{/* The template of a pod. Takes a dictionary: root (the chart's context), args (a list). */}}
{{- define "reapify-mirror.pod" -}}
{{- $root := .root -}}
{{- with $root -}}
metadata:
  labels:
    {{- include "reapify-mirror.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if or .Values.podAnnotations (and (eq .Values.mode "server") (not .Values.existingConfigMap)) }}
  annotations:
    {{- if and (eq .Values.mode "server") (not .Values.existingConfigMap) }}
    # A changed configuration starts a new pod.
    checksum/config: {{ .Values.config | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.serviceAccountName }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- if eq .Values.mode "server" }}
  # The drain, and additional time to cancel uploads.
  terminationGracePeriodSeconds: {{ add .Values.server.drain 15 }}
  {{- else }}
  restartPolicy: Never
  # Spreads shards over nodes, if there are enough, so that they do not share a network or a disk.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "reapify-mirror.selector" . | nindent 10 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ int .Values.runAsUser }}
    runAsGroup: {{ int .Values.runAsUser }}
    # Only this group may read the files of Secrets.
    fsGroup: {{ int .Values.runAsUser }}
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: mirror
      image: {{ include "reapify-mirror.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      # A `command` would replace the entrypoint of the image, including a reaper.
      args:
        {{- toYaml (concat $.args .Values.extraArgs) | nindent 8 }}
      {{- include "reapify-mirror.container" . | trim | nindent 6 }}
  volumes:
    - name: config
      configMap:
        name: {{ .Values.existingConfigMap | default (include "reapify-mirror.name" .) }}
        defaultMode: 288 # 0440
    {{- with .Values.existingSecret.registry }}
    # The logins, in the form of `kubectl create secret docker-registry`.
    - name: registry
      secret:
        secretName: {{ . }}
        defaultMode: 288 # 0440
        items:
          - key: .dockerconfigjson
            path: config.json
    {{- end }}
    {{- if and (eq .Values.mode "server") .Values.existingSecret.events }}
    # One file per receiver's secret.
    - name: events
      secret:
        secretName: {{ .Values.existingSecret.events }}
        defaultMode: 288 # 0440
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What a container has besides its image and arguments. */}}
{{- define "reapify-mirror.container" -}}
{{- $server := eq .Values.mode "server" -}}
{{- if or (not $server) .Values.existingSecret.registry .Values.extraEnv }}
env:
  {{- if not $server }}
  - name: REAPIFY_SHARDS
    value: {{ .Values.cronjob.shards | int | quote }}
  {{- end }}
  {{- if .Values.existingSecret.registry }}
  - name: DOCKER_CONFIG
    value: /etc/reapify/registry
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- if $server }}
ports:
  - name: http
    containerPort: 8080
    protocol: TCP
readinessProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: 5
livenessProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
volumeMounts:
  - name: config
    mountPath: /etc/reapify/config
    readOnly: true
  {{- if .Values.existingSecret.registry }}
  - name: registry
    mountPath: /etc/reapify/registry
    readOnly: true
  {{- end }}
  {{- if and $server .Values.existingSecret.events }}
  - name: events
    mountPath: /etc/reapify/events
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
