{{- /* The vulnerabilities of GitLab's container_scanning report, without the enclosing brackets. The id leaves out the image's tag, so that a finding keeps its identity in the next build. */ -}}
{{- $image := env "SCAN_GATE_IMAGE" }}{{ $repository := regexReplaceAll "(:[^:/@]*)?(@.*)?$" $image "" }}{{ $os := "unknown" }}{{ $first := true -}}
{{- range . }}{{ if eq .Class "os-pkgs" }}{{ $os = regexFind "[^()]+\\)$" .Target | trimSuffix ")" | default "unknown" }}{{ end }}{{ end -}}
{{- range . }}{{ $place := ternary $repository .Target (eq (toString .Class) "os-pkgs") }}{{ range .Vulnerabilities }}
{{- if $first }}{{ $first = false }}{{ else }},{{ end -}}
{
  "id": {{ list $repository $place .VulnerabilityID .PkgName .PkgPath .InstalledVersion | join "\n" | sha256sum | toJson }},
  "name": {{ .Title | default .VulnerabilityID | regexFind "(?s)^.{0,250}" | toJson }},
  "description": {{ toJson .Description }},
  "severity": {{ .Severity | lower | title | toJson }},
  "solution": {{ if .FixedVersion }}{{ printf "Upgrade %s to %s" .PkgName .FixedVersion | toJson }}{{ else }}"No fixed version is available"{{ end }},
  "identifiers": [{
    "type": {{ .VulnerabilityID | splitList "-" | first | lower | toJson }}, "name": {{ toJson .VulnerabilityID }}, "value": {{ toJson .VulnerabilityID }}
    {{- if regexMatch "^https?://." .PrimaryURL }}, "url": {{ toJson .PrimaryURL }}{{ end }}
  }],
  "links": [{{ $more := false }}{{ range .References }}{{ if regexMatch "^(https?|ftp)://." . }}{{ if $more }}, {{ end }}{"url": {{ toJson . }}}{{ $more = true }}{{ end }}{{ end }}],
  "location": {
    "dependency": {"package": {"name": {{ toJson .PkgName }}}, "version": {{ toJson .InstalledVersion }}},
    "operating_system": {{ toJson $os }},
    "image": {{ toJson $image }}
  }
}
{{- end }}{{ end }}
