{{- /* One suite per image, one failed test per finding; an image without findings has one passed test. */ -}}
{{- $image := env "SCAN_GATE_IMAGE" -}}
{{- $findings := 0 }}{{ range . }}{{ $findings = add $findings (len .Vulnerabilities) }}{{ end }}  <testsuite name="{{ escapeXML $image }}" tests="{{ max 1 $findings }}" failures="{{ $findings }}" errors="0" skipped="0">
{{- if eq (int $findings) 0 }}
    <testcase classname="{{ escapeXML $image }}" name="no vulnerabilities"/>
{{- end }}
{{- range . }}{{ $target := .Target }}{{ range .Vulnerabilities }}
    <testcase classname="{{ escapeXML $target }}" name="{{ escapeXML (printf "[%s] %s %s %s" .Severity .VulnerabilityID .PkgName .InstalledVersion) }}">
      <failure type="{{ escapeXML .Severity }}" message="{{ escapeXML .Title }}">{{ if .FixedVersion }}Fixed in {{ escapeXML .FixedVersion }}. {{ end }}{{ escapeXML .PrimaryURL }}
{{ escapeXML .Description }}</failure>
    </testcase>
{{- end }}{{ end }}
  </testsuite>
