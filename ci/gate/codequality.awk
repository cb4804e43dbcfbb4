# The elements of a Code Climate report, which GitLab shows in merge requests. The fingerprint leaves out the image's tag and the version,
# so that a finding keeps its identity in the next build.
# count: the elements before these; name: the scan; repository: the image without tag and digest

BEGIN {
  word["CRITICAL"] = "critical"; word["HIGH"] = "major"; word["MEDIUM"] = "minor"
}
$1 == "new" || $1 == "known" || $1 == "note" {
  read_finding()
  print (count++ ? "," : "") "{\"type\":\"issue\",\"check_name\":" json(decode(id)) ",\"categories\":[\"Security\"],"
  print "\"description\":" json(sentence() " in " name (fixed == "" ? "" : ", fixed in " decode(fixed)) (state == "known" ? " (known from the baseline)" : "")) ","
  fingerprint = repository "\001" identity()
  copies = ++seen[fingerprint]
  gsub(/\001/, "|", fingerprint)
  print "\"fingerprint\":" json(decode(fingerprint) (copies > 1 ? "|" copies : "")) ","
  print "\"severity\":\"" (state == "new" && severity in word ? word[severity] : "info") "\","
  print "\"location\":{\"path\":" json(decode(path != "" ? path : place != "" ? place : repository)) ",\"lines\":{\"begin\":" (line ~ /^[1-9][0-9]*$/ ? line : 1) "}}}"
}
