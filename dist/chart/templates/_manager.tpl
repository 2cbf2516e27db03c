{{/* The memory limit in MiB. */}}
{{- define "embedded-user-operator.memoryLimit" -}}
{{- $limit := .Values.memory.limit }}
{{- $mebibytes := ternary (mul 1024 (trimSuffix "Gi" $limit | int)) (trimSuffix "Mi" $limit | int) (hasSuffix "Gi" $limit) }}
{{- if lt (int $mebibytes) 232 }}{{ fail (printf "memory.limit must be at least 232Mi, not %s: the list of a batch needs 32Mi" $limit) }}{{ end }}
{{- $mebibytes }}
{{- end }}

{{/*
GOMEMLIMIT in MiB. Go's limit is a soft one, and does not count everything: 112 MiB or 7/32 of the container's limit remain, whichever is
more.
*/}}
{{- define "embedded-user-operator.goMemoryLimit" -}}
{{- $limit := include "embedded-user-operator.memoryLimit" . | int }}
{{- min (sub $limit 112) (div (mul $limit 25) 32) }}
{{- end }}

{{/* --max-list-memory in MiB. All long lists may take 1.25 times as much, short ones 72 MiB, and 8 MiB remain. */}}
{{- define "embedded-user-operator.maxListMemory" -}}
{{- div (mul (sub (include "embedded-user-operator.goMemoryLimit" . | int) 80) 4) 5 }}
{{- end }}

{{/* The timeout of a request in seconds. */}}
{{- define "embedded-user-operator.timeoutSeconds" -}}
{{- $timeout := .Values.alloy.timeout | default "30s" }}
{{- ternary (mul 60 (trimSuffix "m" $timeout | int)) (trimSuffix "s" $timeout | int) (hasSuffix "m" $timeout) }}
{{- end }}

{{- define "embedded-user-operator.metricsPort" -}}
{{- ternary 8080 8443 (not (empty .Values.watchNamespaces)) }}
{{- end }}

{{/* The flags, as a list in YAML. A flag whose value is the operator's default is left out. */}}
{{- define "embedded-user-operator.args" -}}
{{- $args := list }}
{{- if .Values.leaderElection.enabled }}{{ $args = append $args "--leader-elect" }}{{ end }}
{{- with .Values.watchNamespaces }}
{{- $args = concat $args (list
      (printf "--leader-election-id=%s" (include "embedded-user-operator.fullname" $))
      (printf "--watch-namespaces=%s" (join "," .))
      "--metrics-secure=false"
      (printf "--metrics-bind-address=:%s" (include "embedded-user-operator.metricsPort" $))) }}
{{- end }}
{{- $list := include "embedded-user-operator.maxListMemory" . }}
{{- $alloy := .Values.alloy }}
{{- $flags := list
      (list "alloy-url" $alloy.url)
      (list "allow-insecure-alloy-url" (ternary true nil $alloy.allowInsecureURL))
      (list "alloy-api-version" $alloy.apiVersion)
      (list "alloy-timeout" $alloy.timeout)
      (list "alloy-list-timeout" $alloy.listTimeout)
      (list "alloy-max-in-flight" $alloy.maxInFlight)
      (list "alloy-max-in-flight-total" $alloy.maxInFlightTotal)
      (list "alloy-linger" $alloy.linger)
      (list "alloy-requests-per-second" $alloy.requestsPerSecond)
      (list "alloy-burst" $alloy.burst)
      (list "max-list-memory" (ternary nil (printf "%sMi" $list) (eq $list "256")))
      (list "secret-poll" .Values.secretPoll)
      (list "resync-interval" .Values.resyncInterval)
      (list "zap-log-level" .Values.logLevel) }}
{{- range $flags }}
{{- $value := index . 1 }}
{{- if not (kindIs "invalid" $value) }}
{{- /* A number in a template can become 1e+06; in JSON it does not. */}}
{{- $args = append $args (printf "--%s=%s" (index . 0) (ternary $value (toJson $value) (kindIs "string" $value))) }}
{{- end }}
{{- end }}
{{- concat $args .Values.extraArgs | toYaml }}
{{- end }}

{{/* The environment, as a list in YAML. */}}
{{- define "embedded-user-operator.env" -}}
{{- $env := list (dict "name" "GOMEMLIMIT" "value" (printf "%sMiB" (include "embedded-user-operator.goMemoryLimit" .))) }}
{{- with .Values.proxy.https }}{{ $env = append $env (dict "name" "HTTPS_PROXY" "value" .) }}{{ end }}
{{- with .Values.proxy.http }}{{ $env = append $env (dict "name" "HTTP_PROXY" "value" .) }}{{ end }}
{{- if .Values.caBundle.configMap }}
{{- /* Go reads the image's own file as well, because SSL_CERT_FILE is not set. */}}
{{- $env = append $env (dict "name" "SSL_CERT_DIR" "value" "/etc/ssl/certs:/etc/embedded-user-operator/ca") }}
{{- end }}
{{- $env = concat $env .Values.extraEnv }}
{{- $names := list }}
{{- range $env }}
{{- if has .name $names }}{{ fail (printf "extraEnv has %s twice, or the chart sets it itself: see memory, proxy and caBundle" .name) }}{{ end }}
{{- $names = append $names .name }}
{{- end }}
{{- if and (or (has "HTTPS_PROXY" $names) (has "HTTP_PROXY" $names)) (not (has "NO_PROXY" $names)) }}
{{- /* The kubelet replaces $(KUBERNETES_SERVICE_HOST), the address at which the operator finds the API server. */}}
{{- $direct := concat (list "$(KUBERNETES_SERVICE_HOST)" ".svc" ".cluster.local" "localhost" "127.0.0.1") .Values.proxy.noProxy }}
{{- $env = append $env (dict "name" "NO_PROXY" "value" (join "," $direct)) }}
{{- end }}
{{- toYaml $env }}
{{- end }}
