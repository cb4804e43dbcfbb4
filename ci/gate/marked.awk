# Reads the baseline's findings (file 1, may be empty), then the image's. Prints the image's findings by severity, then those that the baseline
# has as well as `known`, then the notes, and the number of findings that count as the fact `counted`.

FILENAME == baseline && ($1 == "new" || $1 == "known") { read_finding(); in_baseline[identity()] = 1 }
FILENAME == baseline { next }
$1 == "fact" { print }
$1 == "new" || $1 == "note" {
  read_finding()
  if (state == "new" && identity() in in_baseline) state = $1 = "known"
  counted += state == "new"
  known += state == "known"
  all[++count] = $0
  group[count] = state == "note" ? "note" : state " " severity
  if (state == "new") number[severity]++
  if (state == "note") notes++
  if (kind == "end-of-life" || kind == "unrecognised") notices = notices (notices == "" ? "" : "; ") title
}
END {
  many = split("CRITICAL HIGH MEDIUM LOW UNKNOWN", severities, " ")
  for (s = 1; s <= many; s++) print_group("new " severities[s])
  for (s = 1; s <= many; s++) print_group("known " severities[s])
  print_group("note")
  for (s = 1; s <= many; s++)
    if (number[severities[s]]) counts = counts (counts == "" ? "" : ", ") number[severities[s]] " " severities[s]
  print "fact", "counted", counted + 0
  print "fact", "known", known + 0
  print "fact", "notes", notes + 0
  print "fact", "notices", notices
  print "fact", "counts", counts
}
function print_group(wanted,  c) { for (c = 1; c <= count; c++) if (group[c] == wanted) print all[c] }
