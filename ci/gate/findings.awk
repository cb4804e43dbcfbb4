# Reads the JSON document of the baseline, if there is one, and then that of the image. Calls found() of marked.awk for each finding, with the fields that
# text.awk names, and writes what the image's document says about the scan as lines `NAME<TAB>VALUE`. Values stay JSON-escaped, so they contain
# neither tabs nor line breaks.
# baseline: the file with the baseline's document, or nothing; facts: the file for what the document says about the scan
#
# Trivy indents its JSON with two spaces, and a line break inside a string is escaped, so the indentation of a line is its depth in the document.
# `keys` is the path to the current line. The caller compares the number of findings with Trivy's exit code, so a document that this
# program misreads gives no verdict.

# Control characters, marks that reverse the direction of text, and invisible characters have no place in a name or a title.
function clean(text) {
  gsub(/\\u00[01][0-9a-f]|\\u007f|\\u202[89]|\\[nrtbf]|\302[\200-\237]|\342\200[\213-\217\250-\256]|\342\201[\240-\257]|\357\273\277/, " ", text)
  return text
}

# Backslashes that are data are hidden from clean(), which would take the one of `\\n` for the beginning of a line break.
function value(text) {
  sub(/,$/, "", text)
  if (text !~ /^"/) return text
  text = substr(text, 2, length(text) - 2)
  if (!index(text, "\\")) return clean(text)
  gsub(/\\\\/, "\001", text)
  return swap(clean(text), "\001", "\\\\")
}

# Facts appear in the log and in reports as they are.
function fact(name, text) {
  gsub(/[^A-Za-z0-9 ._:;,\/+-]/, "", text)
  print name "\t" text >facts
}

function finding(kind_, id_, package_, installed_, fixed_, path_, line_, title_, url_, description_) {
  findings++
  kind = kind_; id = id_; package = package_; installed = installed_; fixed = fixed_
  severity = item["Severity"]
  if (severity !~ /^(CRITICAL|HIGH|MEDIUM|LOW)$/) severity = "UNKNOWN"
  # The target of operating system packages is the image's own name, which is no place inside the image.
  place = class == "os-pkgs" ? "" : target
  path = path_; line = line_; title = title_; url = url_; description = description_; references = item["References"]
  found()
}

function emit(list) {
  if (list == "Packages") packages++
  else if (list == "Vulnerabilities")
    finding("vulnerability", item["VulnerabilityID"], item["PkgName"], item["InstalledVersion"], item["FixedVersion"], item["PkgPath"], "", \
      item["Title"], item["PrimaryURL"], item["Description"])
  else if (list == "Misconfigurations" && item["Status"] == "FAIL")
    finding("misconfiguration", item["ID"], "", "", "", "", item["StartLine"], item["Title"], item["PrimaryURL"], item["Message"])
  else if (list == "Secrets")
    finding("secret", item["RuleID"], "", "", "", "", item["StartLine"], item["Title"], "", "")
  else if (list == "Licenses")
    finding("licence", item["Name"], item["PkgName"], "", "", item["FilePath"], "", "licence " item["Name"], item["Link"], "")
}

# A document is complete if it ends, and if it is of the version that this program reads.
function is_complete() { return ended && schema == "2" }
function begin_image() {
  in_image = 1
  baseline_is_complete = is_complete()
  findings = packages = ended = 0
  schema = family = release = eosl = system_ = architecture = variant = digest = target = class = ""
  split("", keys)
  split("", item)
}

BEGIN { if (baseline == "") in_image = 1 }
!in_image && FILENAME != baseline { begin_image() }

{
  match($0, /^ */)
  depth = RLENGTH / 2
  text = substr($0, RLENGTH + 1)
  keys[depth] = ""
  if (match(text, /^"[^"\\]*": /)) {
    keys[depth] = substr(text, 2, RLENGTH - 4)
    text = substr(text, RLENGTH + 1)
  }
}

depth == 0 { if (text == "}") ended = 1; next }
depth == 1 && keys[1] == "SchemaVersion" { schema = value(text) }
in_image && keys[1] == "Trivy" && keys[2] == "Server" {
  if (depth == 4 && keys[3] == "VulnerabilityDB" && keys[4] == "UpdatedAt") fact("updated", value(text))
  if (depth == 4 && keys[3] == "VulnerabilityDB" && keys[4] == "NextUpdate") fact("next", value(text))
}
keys[1] == "Metadata" && keys[2] == "OS" && depth == 3 {
  if (keys[3] == "Family") family = value(text)
  if (keys[3] == "Name") release = value(text)
  if (keys[3] == "EOSL") eosl = value(text)
}
keys[1] == "Metadata" && keys[2] == "ImageConfig" && depth == 3 {
  if (keys[3] == "os") system_ = value(text)
  if (keys[3] == "architecture") architecture = value(text)
  if (keys[3] == "variant") variant = value(text)
}
keys[1] == "Metadata" && keys[2] == "RepoDigests" && depth == 3 && !digest { digest = value(text); sub(/.*@/, "", digest) }

keys[1] != "Results" { next }
depth == 2 && text ~ /^[{]/ { target = class = "" }
depth == 3 && keys[3] == "Target" { target = value(text) }
depth == 3 && keys[3] == "Class" { class = value(text) }
depth == 4 && text ~ /^[{]/ { split("", item) }
depth == 5 && keys[5] != "" && text !~ /^[[{]/ { item[keys[5]] = value(text) }
depth == 6 && keys[5] == "References" { item["References"] = item["References"] (item["References"] == "" ? "" : " ") value(text) }
depth == 6 && keys[5] == "CauseMetadata" && keys[6] == "StartLine" { item["StartLine"] = value(text) }
depth == 4 && text ~ /^}/ { emit(keys[3]) }

END {
  # The image's document may be empty.
  if (!in_image) begin_image()
  if (family == "none") family = ""
  release = decode(release)
  # With slashes it could look like an address.
  gsub(/\//, " ", release)
  os = family == "" ? "" : substr(family " " release, 1, 60)
  gsub(/[^A-Za-z0-9 ._:\/+-]/, "", os)
  fact("os", os)
  gsub(/[^a-z0-9_]/, "", system_)
  gsub(/[^a-z0-9_]/, "", architecture)
  gsub(/[^a-z0-9_]/, "", variant)
  fact("platform", system_ == "" || architecture == "" ? "unknown" : system_ "/" architecture (variant == "" ? "" : "/" variant))
  fact("digest", digest)
  fact("findings", findings + 0)
  fact("compared", baseline_is_complete ? "true" : "")
  print_findings()
  # The last fact: without it the document is incomplete.
  fact("complete", is_complete() ? "true" : "")
}
