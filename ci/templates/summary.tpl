{{- /* The first line counts the findings by severity. A Markdown table of the 50 most severe findings follows; job summaries are limited in size. */ -}}
{{- define "cell" }}{{ regexReplaceAll "[\\s|<>`\\[\\]\\\\]+" . " " | regexFind "^.{0,120}" }}{{ end -}}
{{- $severities := list "CRITICAL" "HIGH" "MEDIUM" "LOW" "UNKNOWN" -}}
{{- $counts := dict -}}
{{- $rows := 0 -}}
{{- range . }}{{ range .Vulnerabilities }}{{ $counts = set $counts .Severity (add1 (int (get $counts .Severity))) }}{{ $rows = add1 $rows }}{{ end }}{{ end -}}
{{- $words := list -}}
{{- range $severities }}{{ if hasKey $counts . }}{{ $words = append $words (printf "%d %s" (get $counts .) .) }}{{ end }}{{ end -}}
{{ if $words }}{{ join ", " $words }}{{ else }}none{{ end }}
| severity | vulnerability | package | installed | fixed in | title |
| --- | --- | --- | --- | --- | --- |
{{ $results := . }}{{ $shown := 0 -}}
{{- range $severity := $severities }}{{ range $results }}{{ range .Vulnerabilities }}
{{- if and (eq .Severity $severity) (lt $shown 50) }}{{ $shown = add1 $shown | int -}}
| {{ .Severity }} | {{ if regexMatch "^https?://[^\\s()|<>]+$" .PrimaryURL }}[{{ template "cell" .VulnerabilityID }}]({{ .PrimaryURL }}){{ else }}{{ template "cell" .VulnerabilityID }}{{ end }} | {{ template "cell" .PkgName }} | {{ template "cell" .InstalledVersion }} | {{ template "cell" default "-" .FixedVersion }} | {{ template "cell" .Title }} |
{{ end }}{{ end }}{{ end }}{{ end }}
{{- if gt (int $rows) $shown }}
and {{ sub $rows $shown }} more: see the log and the reports.
{{ end }}
