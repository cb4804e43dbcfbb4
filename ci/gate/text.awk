# Shared by the reports: names for a finding's fields, and one escaping function per kind of output.

BEGIN { FS = OFS = "\t" }

# Names the fields of a line.
function read_finding() {
  state = $1 # `new`, `known` (also in the baseline) or `note` (does not count)
  kind = $2; severity = $3; id = $4; package = $5; installed = $6; fixed = $7
  place = $8 # lock file, binary or group of packages; empty for operating system packages
  path = $9; line = $10; title = $11; url = $12; description = $13; references = $14
}

# Replaces a text by another. Implementations of awk differ in how gsub() reads backslashes in the replacement.
function swap(text, from, to,  i, out) {
  while (i = index(text, from)) {
    out = out substr(text, 1, i - 1) to
    text = substr(text, i + length(from))
  }
  return out text
}

# Text of a JSON string.
function decode(text) {
  if (!index(text, "\\")) return text
  gsub(/\\\\/, "\001", text)
  gsub(/\\"/, "\"", text)
  gsub(/\\u003c/, "<", text)
  gsub(/\\u003e/, ">", text)
  gsub(/\\u0026/, "\\&", text)
  gsub(/\\u[0-9a-f][0-9a-f][0-9a-f][0-9a-f]/, "?", text)
  return swap(text, "\001", "\\")
}

# At most `limit` bytes of a text, without half a character at the end.
function shorten(text, limit) {
  if (length(text) <= limit) return text
  text = substr(text, 1, limit)
  sub(/[\300-\377]?[\200-\277]*$/, "", text)
  return text "..."
}

function json(text) {
  if (index(text, "\\")) text = swap(text, "\\", "\\\\")
  if (index(text, "\"")) text = swap(text, "\"", "\\\"")
  gsub(/[\001-\037]/, " ", text)
  return "\"" text "\""
}

function xml(text) {
  gsub(/&/, "\\&amp;", text)
  gsub(/</, "\\&lt;", text)
  gsub(/>/, "\\&gt;", text)
  gsub(/"/, "\\&quot;", text)
  gsub(/'/, "\\&apos;", text)
  gsub(/[\001-\037]/, " ", text)
  return text
}

# A table cell in Markdown. Entities keep text from becoming a link, a mention, an image or HTML.
function markdown(text) {
  gsub(/[ \t]+/, " ", text)
  text = shorten(text, 120)
  gsub(/&/, "\\&amp;", text)
  gsub(/</, "\\&lt;", text)
  gsub(/>/, "\\&gt;", text)
  gsub(/\|/, "\\&#124;", text)
  gsub(/\[/, "\\&#91;", text)
  gsub(/\]/, "\\&#93;", text)
  gsub(/`/, "\\&#96;", text)
  gsub(/\*/, "\\&#42;", text)
  gsub(/_/, "\\&#95;", text)
  gsub(/~/, "\\&#126;", text)
  gsub(/!/, "\\&#33;", text)
  gsub(/@/, "\\&#64;", text)
  gsub(/\\/, "\\&#92;", text)
  gsub(/:\/\//, ":\\&#47;\\&#47;", text)
  gsub(/www\./, "www\\&#46;", text)
  return text
}

# Text in Markdown that may be long.
function prose(text) {
  gsub(/&/, "\\&amp;", text)
  gsub(/</, "\\&lt;", text)
  gsub(/\|/, "\\&#124;", text)
  gsub(/\[/, "\\&#91;", text)
  gsub(/\]/, "\\&#93;", text)
  gsub(/`/, "\\&#96;", text)
  gsub(/\*/, "\\&#42;", text)
  gsub(/_/, "\\&#95;", text)
  return text
}

# CI systems take `##[` and `##vso[` for commands anywhere in a line.
function log_text(text) {
  while (index(text, "##")) gsub(/##/, "# #", text)
  return text
}

# Where the finding is, inside the image.
function where_() {
  if (path != "" && place != "") return place ": " path
  return path != "" ? path : place
}

# One line of text about the finding.
function sentence() {
  if (state == "note" || kind == "end-of-life" || kind == "unrecognised") return decode(title)
  return decode(id) (package == "" ? "" : " " decode(package)) (installed == "" ? "" : " " decode(installed)) \
    (where_() == "" ? "" : " in " decode(where_()))
}

# `url` if it is a plain address. Implementations differ in how they read a backslash in brackets.
function address(text) { return text ~ /^https?:\/\/[^][ ()|<>"'`]+$/ && !index(text, "\\") ? text : "" }

# The parts of a finding that do not change with a release: the identifier, the package, and the place without the version.
function identity(  p) {
  p = place "\001" path
  if (installed != "") while (i_ = index(p, installed)) p = substr(p, 1, i_ - 1) "*" substr(p, i_ + length(installed))
  return kind "\001" id "\001" package "\001" p
}

function link_type() { return tolower(substr(id, 1, index(id "-", "-") - 1)) }
