{{- /* The elements of a Code Climate report, which GitLab shows in merge requests, without the enclosing brackets. The fingerprint leaves out the image's tag, so that a finding keeps its identity in the next build. */ -}}
{{- $image := env "SCAN_GATE_IMAGE" }}{{ $repository := regexReplaceAll "(:[^:/@]*)?(@.*)?$" $image "" }}{{ $first := true -}}
{{- $severities := dict "CRITICAL" "critical" "HIGH" "major" "MEDIUM" "minor" -}}
{{- range . }}{{ $place := ternary $repository .Target (eq (toString .Class) "os-pkgs") }}{{ range .Vulnerabilities }}
{{- if $first }}{{ $first = false }}{{ else }},{{ end -}}
{
  "type": "issue",
  "check_name": {{ toJson .VulnerabilityID }},
  "categories": ["Security"],
  "description": {{ printf "%s: %s %s in %s%s" .VulnerabilityID .PkgName .InstalledVersion $image (ternary "" (printf ", fixed in %s" .FixedVersion) (empty .FixedVersion)) | toJson }},
  "fingerprint": {{ list $repository $place .VulnerabilityID .PkgName .PkgPath .InstalledVersion | join "\n" | sha256sum | toJson }},
  "severity": {{ get $severities .Severity | default "info" | toJson }},
  "location": {"path": {{ toJson $place }}, "lines": {"begin": 1}}
}
{{- end }}{{ end }}
